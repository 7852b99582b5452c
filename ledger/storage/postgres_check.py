"""The check of a database before a ledger opens it: its address, its age, its texts, its schemas.

Promise: no message contains a part of the password.
"""

from contextlib import closing
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.storage.postgres import LOG, PostgresConnection, reason_of

OLDEST: Final = 15
"""The oldest major version of PostgreSQL that has everything that our SQL uses."""

_TEXTS: Final = """SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database
    WHERE datname = current_database()"""
_HAS_LOG: Final = f"SELECT to_regclass('{LOG}.stored_events') IS NOT NULL"
_SCHEMAS: Final = f"""SELECT nspname FROM pg_namespace
    WHERE nspname = '{LOG}' OR nspname ~ '^g[1-9][0-9]*(_|$)' ORDER BY 1 LIMIT 1"""
_TRIGRAMS: Final = f"""SELECT nspname FROM pg_extension JOIN pg_namespace AS place
    ON place.oid = extnamespace WHERE extname = 'pg_trgm' AND nspname <> '{LOG}'"""
_CREATE: Final = (
    "create one with createdb -T template0 -E UTF8 --lc-collate=C --lc-ctype=C.UTF-8 NAME"
)
_HINTS: Final = (
    ("password", "set the right one in the address, PGPASSWORD or ~/.pgpass"),
    ("no pg_hba.conf entry", "let PostgreSQL accept this machine and role, in pg_hba.conf"),
    ("permission denied", "let the role own the database"),
    ("is not available", "install the contrib package of PostgreSQL on its machine"),
    ("role ", "create the role, or name another one in the address"),
    ("does not exist", _CREATE),
    ("lock timeout", "end what locks its tables, such as a VACUUM, and try again"),
    ("too many", "raise max_connections of PostgreSQL: each server needs about 40"),
    ("resolve", "correct the host in the address"),
)
"""What to do about an error whose text contains the first item; the first that fits."""


def check_address(url: str) -> None:
    """Raise DataFolderError for an address that is none, or hides a wrongly written password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        parts = {"host": "@"}  # the error quotes the password
    hosts, name = str(parts.get("host", "")), str(parts.get("dbname", ""))
    ports = str(parts.get("port", "")).replace(",", "")
    if "@" in hosts or "@" in name or (ports and not ports.isdecimal()):
        raise DataFolderError(
            "the address of the database cannot be read: write it as"
            " postgresql://user:password@host:5432/database, and each character of the password"
            " that is neither a letter nor a digit as %XX"
        )


def location(url: str) -> str:
    """Return where a database is, for people: `database assets at db.example.org, port 5432`."""
    with closing(_connected(url)) as db:
        return db.location


def check_database(url: str) -> bool:
    """Return whether a database has a ledger. Raises DataFolderError if it can have none."""
    with closing(_connected(url)) as db:
        try:
            check_version(db)
            return _has_ledger(db)
        except psycopg.Error as error:
            raise explained(error) from error


def _connected(url: str) -> PostgresConnection:
    try:
        return PostgresConnection(url, (LOG,), read_only=True)
    except psycopg.Error as error:
        raise explained(error) from error


def check_version(db: PostgresConnection) -> None:
    """Raise DataFolderError for a database that is too old, or orders or stores texts otherwise."""
    if db.major_version < OLDEST:
        raise DataFolderError(
            f"{db.location} is of PostgreSQL {db.major_version}: use {OLDEST} or newer"
        )
    collation, encoding = db.execute(_TEXTS).fetchone()
    if collation not in ("C", "POSIX") or encoding != "UTF8":
        raise DataFolderError(
            f"the {db.location} has the collation {collation} and the encoding {encoding}, and"
            f" lists need C and UTF8: {_CREATE}"
        )


def _has_ledger(db: PostgresConnection) -> bool:
    if elsewhere := db.execute(_TRIGRAMS).fetchone():
        raise DataFolderError(
            f"the {db.location} has the extension pg_trgm in its schema {elsewhere[0]}: drop it"
            " there, and the ledger creates it in its own"
        )
    if db.execute(_HAS_LOG).fetchone()[0]:
        return True
    if of_others := db.execute(_SCHEMAS).fetchone():
        raise DataFolderError(
            f"the {db.location} has a schema {of_others[0]} of another program: {_CREATE}"
        )
    return False


def explained(error: psycopg.Error) -> DataFolderError:
    """Return the error for an operator of a database that cannot be used."""
    reason = reason_of(error)
    todo = next((todo for part, todo in _HINTS if part in reason), None)
    default = "start PostgreSQL, or correct --database-url"
    return DataFolderError(f"the database cannot be used ({reason}): {todo or default}")
