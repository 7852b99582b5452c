"""The tables of the log in PostgreSQL, and of what belongs to it."""

import hashlib
from typing import Final

from asset_ledger.ledger.content.parts import UPLOAD_TABLES
from asset_ledger.ledger.content.places import COLLECTED_TABLE, OBJECTS_TABLE
from asset_ledger.ledger.log.side_tables import SIDE_TABLES
from asset_ledger.ledger.log.tree_rows import TREE_TABLES
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.ledger.storage.postgres import LOG
from asset_ledger.ledger.storage.postgres_sql import FUNCTIONS

_EVENTS: Final = """CREATE TABLE IF NOT EXISTS stored_events (
    originator_id uuid NOT NULL, originator_version bigint NOT NULL, topic text, state bytea,
    notification_id bigint NOT NULL, PRIMARY KEY (originator_id, originator_version))"""
_BY_POSITION: Final = """CREATE UNIQUE INDEX IF NOT EXISTS stored_events_notification_id_idx
    ON stored_events (notification_id)"""
_CONTENTS: Final = """CREATE TABLE IF NOT EXISTS contents (
    digest bytea PRIMARY KEY, bytes bytea NOT NULL)"""
_IN_USE: Final = """CREATE TABLE IF NOT EXISTS in_use (generation bigint NOT NULL)"""
_COPYING: Final = """CREATE TABLE IF NOT EXISTS copying (is_incomplete boolean PRIMARY KEY)"""
_KEYS_TABLE: Final = """CREATE TABLE IF NOT EXISTS signing_keys (
    name text PRIMARY KEY, pem bytea NOT NULL)"""
_HOOKS: Final = """CREATE TABLE IF NOT EXISTS hooks (
    id text PRIMARY KEY, document text NOT NULL)"""
_SESSIONS: Final = """CREATE TABLE IF NOT EXISTS sessions (
    hash bytea PRIMARY KEY, auth text NOT NULL, token_id text, user_id text NOT NULL,
    scopes text NOT NULL, name text, expires_at text NOT NULL, for_user text,
    ended_at timestamptz)"""
_ENDED: Final = """CREATE INDEX IF NOT EXISTS sessions_ended ON sessions (ended_at)
    WHERE ended_at IS NOT NULL"""
_S3_KEYS: Final = """CREATE TABLE IF NOT EXISTS s3_keys (
    id text PRIMARY KEY, secret text NOT NULL)"""
_NEVER: Final = """CREATE OR REPLACE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'events never change'; END $$"""
_GUARDS: Final = tuple(
    f"""CREATE OR REPLACE TRIGGER never BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION never()"""
    for table in (
        *("stored_events", "event_tags", "command_keys", "event_leaves"),
        *("merkle_tiles", "checkpoints"),
    )
)
_MADE: Final = "CREATE TABLE IF NOT EXISTS schema_made (digest text NOT NULL)"
SCHEMA: Final = (
    f"CREATE SCHEMA IF NOT EXISTS {LOG}",
    f"CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA {LOG}",
    *FUNCTIONS,
    *(_EVENTS, _BY_POSITION, _CONTENTS, OBJECTS_TABLE, COLLECTED_TABLE, _IN_USE, _KEYS_TABLE),
    *UPLOAD_TABLES,
    *(_COPYING, _HOOKS, _SESSIONS, _ENDED, _S3_KEYS),
    "CREATE SEQUENCE IF NOT EXISTS generations",
    *SIDE_TABLES,
    *TREE_TABLES,
    *(_NEVER, *_GUARDS),
    _MADE,
)
_DIGEST: Final = hashlib.sha256("\n".join(SCHEMA).encode()).hexdigest()
_HAS_MADE: Final = "SELECT to_regclass('schema_made') IS NOT NULL"
_IS_MADE: Final = "SELECT EXISTS (SELECT 1 FROM schema_made WHERE digest = ?)"


def has_schema(db: SqlConnection) -> bool:
    """Return whether these statements have run. It waits for no lock."""
    (is_there,) = db.execute(_HAS_MADE).fetchone()
    return is_there and bool(db.execute(_IS_MADE, (_DIGEST,)).fetchone()[0])


def make_schema(db: SqlConnection) -> None:
    """Make what is missing, as part of the caller's transaction.

    It waits for each write and VACUUM of these tables, and all later writes wait for it.
    """
    for statement in SCHEMA:
        db.execute(statement)
    db.execute("DELETE FROM schema_made")
    db.execute("INSERT INTO schema_made VALUES (?)", (_DIGEST,))
