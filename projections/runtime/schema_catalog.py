"""What a schema of PostgreSQL has: tables, columns and indexes."""

from typing import Final

from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.projections.runtime.store import Columns

_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = ?"
_INDEXES: Final = """SELECT name.relname, pg_get_indexdef(made.indexrelid) FROM pg_index AS made
    JOIN pg_class AS name ON name.oid = made.indexrelid
    JOIN pg_namespace AS place ON place.oid = name.relnamespace
    WHERE place.nspname = ? AND NOT made.indisunique"""
_COLUMNS: Final = """SELECT of.attname, format_type(of.atttypid, NULL),
        array_position(own.indkey::int2[], of.attnum)
    FROM pg_attribute AS of LEFT JOIN pg_index AS own
        ON own.indrelid = of.attrelid AND own.indisprimary
    WHERE of.attrelid = to_regclass(?) AND of.attnum > 0 AND NOT of.attisdropped
    ORDER BY of.attnum"""


def tables_of(db: SqlConnection, schema: str) -> set[str]:
    """Return the names of the tables."""
    return {table for (table,) in db.execute(_TABLES, (schema,)).fetchall()}


def types_of(db: SqlConnection, schema: str, table: str) -> dict[str, str]:
    """Return the type of each column of a table, by name."""
    found = db.execute(_COLUMNS, (f"{schema}.{table}",)).fetchall()
    return {name: kind for name, kind, _ in found}


def columns_of(db: SqlConnection, schema: str, table: str) -> Columns:
    """Return the columns of a table; no columns if there is no such table."""
    found = db.execute(_COLUMNS, (f"{schema}.{table}",)).fetchall()
    ranked = sorted((rank, name) for name, _, rank in found if rank is not None)
    return Columns([name for name, _, _ in found], [name for _, name in ranked])


def indexes_of(db: SqlConnection, schema: str) -> list[tuple[str, str]]:
    """Return the name and the SQL of each index that is not unique."""
    return [(name, sql) for name, sql in db.execute(_INDEXES, (schema,)).fetchall()]
