"""The digest of tables: equal rows give equal digests, on every machine and database engine.

SHA-256 over each table in name order: its name and a newline, then each row in primary key order,
as a JSON object with sorted keys, and a newline. Bytes are hex. The column `json`, which is made
from the other columns, is left out.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import orjson

from asset_ledger.projections.runtime.store import Database

_CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def digest(tables: Mapping[str, Database]) -> str:
    """Return the digest of tables, 64 hex digits. Each table is read from its own database."""
    return digest_of(sorted(tables.items()))


def digest_of(tables: Iterable[tuple[str, Database]]) -> str:
    """Return the digest of tables that are in name order."""
    hashed = hashlib.sha256()
    for table, database in tables:
        hashed.update(table.encode() + b"\n")
        for row in rows(database, table):
            hashed.update(row)
    return hashed.hexdigest()


def rows(database: Database, table: str) -> Iterator[bytes]:
    """Yield the rows of a table as the digest hashes them, in primary key order."""
    columns, key = database.columns(table)
    names = [name for name in columns if name != "json"]
    wanted, order = (", ".join(f'"{name}"' for name in group) for group in (names, key))
    for row in database.stream(f'SELECT {wanted} FROM "{table}" ORDER BY {order}'):
        fields = dict(zip(names, row, strict=True))
        yield orjson.dumps(fields, default=bytes.hex, option=_CANONICAL)
