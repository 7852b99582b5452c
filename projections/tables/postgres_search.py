"""The projection `search` in PostgreSQL: trigrams of the texts, and the heads of words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from asset_ledger.ledger.domain.asset import AssetCreated
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.ids import bytes_of
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.migrations import Migration
from asset_ledger.projections.projection import Statement
from asset_ledger.projections.tables.search import Search, changes_of_texts, row_of, word_heads

_STATEMENTS: Final = (
    """
    CREATE TABLE search_assets (
        seq BIGINT PRIMARY KEY, id BYTEA NOT NULL UNIQUE, user_id TEXT NOT NULL, workflow_id TEXT,
        content_type TEXT NOT NULL, live BOOLEAN NOT NULL DEFAULT true, name TEXT NOT NULL,
        tags TEXT NOT NULL, metadata TEXT NOT NULL,
        heads TEXT NOT NULL,
        texts TEXT NOT NULL GENERATED ALWAYS AS (
            name || chr(10) || tags || chr(10) || metadata) STORED
    )
    """,
    "CREATE INDEX search_by_texts ON search_assets USING gin (texts gin_trgm_ops) WHERE live",
    """CREATE INDEX search_by_heads ON search_assets
        USING gin (string_to_array(heads, ' ')) WHERE live""",
)
_INSERT: Final = """
    INSERT INTO search_assets (seq, id, user_id, workflow_id, content_type, name, tags, metadata,
        heads)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_REWRITE: Final = "UPDATE search_assets SET heads = heads_in(name, tags, metadata) WHERE id = ?"


def _create(db: SqlConnection) -> None:
    for statement in _STATEMENTS:
        db.execute(statement)


class PostgresSearch(Search):
    """The projection of search for PostgreSQL: the same name, and the same migrations by name."""

    migrations: Final[Sequence[Migration]] = (  # type: ignore[misc]  # other SQL, same names
        Search.migrations[0]._replace(upgrade=_create),
    )
    functions: Final[Mapping[str, Callable[..., Any]]] = {"heads_in": word_heads}  # type: ignore[misc]

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """Insert a new asset; if the texts of an asset change, update its row and its heads."""
        event = recorded.event
        if isinstance(event, AssetCreated):
            row = row_of(recorded.position, event)
            yield Statement(_INSERT, (*row, word_heads(*row[-3:])), independent=True)
        elif changes := changes_of_texts(event):
            setters = ", ".join(f"{name} = ?" for name in changes)
            asset_id = bytes_of(event.originator_id)
            sql = f"UPDATE search_assets SET {setters} WHERE id = ?"
            yield Statement(sql, (*changes.values(), asset_id))
            yield Statement(_REWRITE, (asset_id,))
