"""Parts of unfinished uploads, which any server of a database continues.

A row of `uploads` has what was declared and how many bytes are durable. A part of up to 64 KiB is a
row of `upload_parts`; a larger one is an object of the store, which such a row names.

Promise: a part counts once its bytes are durable, and only if no other server has moved the offset
meanwhile: of two requests that append at once, one gets False. No lock outlives its server.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import orjson
import psycopg

from asset_ledger.ledger.content.objects import ObjectContents
from asset_ledger.ledger.content.store import Stage, Staged, StoredObject
from asset_ledger.ledger.content.unfinished import UploadPart, UploadState
from asset_ledger.ledger.errors import MissingBytesError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.storage.postgres import LOG, unreachable
from asset_ledger.ledger.storage.postgres_readers import open_async
from asset_ledger.ledger.storage.postgres_sql import translate

UPLOAD_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS uploads (
    id text PRIMARY KEY, kind text NOT NULL, user_id text NOT NULL, size bigint NOT NULL,
    declared text NOT NULL, received bigint NOT NULL, changed_at double precision NOT NULL,
    claimed_at double precision NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS upload_parts (
    upload_id text NOT NULL REFERENCES uploads ON DELETE CASCADE, number bigint NOT NULL,
    size bigint NOT NULL, digest text NOT NULL, bytes bytea, url text,
    stored_at double precision NOT NULL, PRIMARY KEY (upload_id, number))""",
    "CREATE INDEX IF NOT EXISTS upload_parts_url ON upload_parts (url) WHERE url IS NOT NULL",
)
KNOWN_PARTS: Final = """SELECT p.url FROM json_each(?) j JOIN upload_parts p ON p.url = j.value"""

_COLUMNS: Final = "id, user_id, size, declared, changed_at, received"
_FIND: Final = f"SELECT {_COLUMNS} FROM uploads WHERE id = ? AND kind = ?"
_ALL: Final = f"SELECT {_COLUMNS} FROM uploads WHERE kind = ? ORDER BY id"
_BEGIN: Final = """INSERT INTO uploads VALUES (?, ?, ?, ?, ?, 0, ?, 0)
    ON CONFLICT (id) DO NOTHING"""
_COUNT: Final = """SELECT count(*), count(*) FILTER (WHERE user_id = ?), coalesce(sum(received), 0)
    FROM uploads WHERE kind = ?"""
_ADD: Final = """WITH moved AS (UPDATE uploads SET received = ?, changed_at = ?
        WHERE id = ? AND received = ? RETURNING id)
    INSERT INTO upload_parts SELECT moved.id, part.*, ? FROM moved, unnest(
        ?::bigint[], ?::bigint[], ?::text[], ?::bytea[], ?::text[]) AS part RETURNING 1"""
_REPLACE: Final = """WITH moved AS (UPDATE uploads SET changed_at = ? WHERE id = ? RETURNING id),
    before AS (SELECT url FROM upload_parts WHERE upload_id = ? AND number = ?)
    INSERT INTO upload_parts SELECT id, ?, ?, ?, ?::bytea, ?, ? FROM moved
    ON CONFLICT (upload_id, number) DO UPDATE SET size = excluded.size,
        digest = excluded.digest, bytes = excluded.bytes, url = excluded.url,
        stored_at = excluded.stored_at
    RETURNING (SELECT url FROM before)"""
_HAS: Final = """SELECT 1 FROM upload_parts
    WHERE upload_id = ? AND number = ? AND digest = ? AND url IS NOT DISTINCT FROM ?"""
_PARTS: Final = """SELECT number, digest, size, stored_at, url FROM upload_parts
    WHERE upload_id = ? ORDER BY number"""
_BYTES: Final = "SELECT bytes FROM upload_parts WHERE upload_id = ? AND number = ? AND digest = ?"
_URLS: Final = "SELECT url FROM upload_parts WHERE upload_id = ? AND url IS NOT NULL"
_REMOVE: Final = "DELETE FROM uploads WHERE id = ? AND changed_at = coalesce(?, changed_at)"
_CLAIM: Final = """UPDATE uploads SET claimed_at = ? WHERE id = ? AND claimed_at < ?
    RETURNING 1"""


class SharedParts:
    """The unfinished uploads of a database. For one event loop."""

    def __init__(self, url: str, contents: ObjectContents) -> None:
        self._url, self._contents = url, contents
        self._lock = asyncio.Lock()
        self._db: psycopg.AsyncConnection[Any] | None = None

    async def begin(self, kind: str, state: UploadState) -> bool:
        """Store a new upload. Return whether its id was free."""
        declared = orjson.dumps(state.declared).decode()
        values = (state.id, kind, state.user_id, state.size, declared, state.changed_at)
        return bool(await self._change(_BEGIN, values))

    async def find(self, kind: str, upload_id: str) -> UploadState | None:
        """Return an upload as it is now; None if there is none."""
        rows = await self._rows(_FIND, (upload_id, kind))
        return _state(rows[0]) if rows else None

    async def all(self, kind: str) -> list[UploadState]:
        """Return every upload of this kind."""
        return [_state(row) for row in await self._rows(_ALL, (kind,))]

    async def count(self, kind: str, user_id: str = "") -> tuple[int, int, int]:
        """Return the number of uploads, of those of a user, and their bytes."""
        ((uploads, own, size),) = await self._rows(_COUNT, (user_id, kind))
        return uploads, own, int(size)

    def stage(self) -> Stage:
        """Begin to receive a part."""
        return self._contents.stage()

    async def publish(self, part: Staged) -> None:
        """Make a part durable before a row names it."""
        await self._contents.publish(part)

    async def drop(self, parts: Sequence[Staged]) -> None:
        """Remove parts that no row will name."""
        await self._contents.remove_objects([url for each in parts if (url := _url(each))])

    async def append(
        self, state: UploadState, parts: Sequence[Staged], now: float
    ) -> UploadState | None:
        """Store parts that follow each other at the offset. Return the new state.

        Return None if the offset is another one by now.
        """
        offset, rows = state.offset, []
        for part in parts:
            await self._contents.publish(part)
            rows.append((offset, part.size, part.digest, part.small, _url(part)))
            offset += part.size
        columns = [list(column) for column in zip(*rows, strict=True)]
        values = (offset, now, state.id, state.offset, now, *columns)
        if not await self._change(_ADD, values):
            first = rows[0]
            if not await self._rows(_HAS, (state.id, first[0], first[2], first[4])):
                await self._contents.remove_objects([url for *_, url in rows if url is not None])
                return None  # else the answer to the first attempt was lost
        return await self.find("tus", state.id)

    async def replace(self, upload_id: str, number: int, staged: Staged, now: float) -> bool:
        """Store a part in place of the one with its number. Return False without the upload."""
        await self._contents.publish(staged)
        part = (number, staged.size, staged.digest, staged.small, _url(staged), now)
        rows = await self._rows(_REPLACE, (now, upload_id, upload_id, number, *part))
        if rows and rows[0][0] is not None and rows[0][0] != _url(staged):
            await self._contents.remove_objects([rows[0][0]])
        return bool(rows)

    async def parts(self, upload_id: str) -> list[UploadPart]:
        """Return the parts of an upload, by number."""
        return [UploadPart(upload_id, *row) for row in await self._rows(_PARTS, (upload_id,))]

    async def read(self, part: UploadPart) -> AsyncIterator[bytes]:
        """Yield the bytes of a part. Raises MissingBytesError if it was removed meanwhile."""
        if part.url is None:
            rows = await self._rows(_BYTES, (part.upload_id, part.number, part.digest))
            if not rows:
                raise MissingBytesError("a part of the upload was removed meanwhile")
            yield rows[0][0]
            return
        stored = StoredObject(part.digest, part.url, part.size)
        async for piece in self._contents.object_at(stored).chunks(0, part.size):
            yield piece

    async def claim(self, upload_id: str, now: float, before: float) -> bool:
        """Return whether no server has claimed an upload since `before`. Then claim it."""
        return bool(await self._rows(_CLAIM, (now, upload_id, before)))

    async def remove(self, upload_id: str, changed_at: float | None = None) -> bool:
        """Remove an upload and its parts, if it was not changed after `changed_at`. Return whether
        it was removed. Objects that stay in a store that fails are removed after a day."""
        urls = [url for (url,) in await self._rows(_URLS, (upload_id,))]
        if not await self._change(_REMOVE, (upload_id, changed_at)):
            return False
        await self._contents.remove_objects(urls)
        return True

    async def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            await self._db.close()

    async def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        return await (await self._execute(sql, values)).fetchall()

    async def _change(self, sql: str, values: Sequence[Any]) -> int:
        return (await self._execute(sql, values)).rowcount

    async def _execute(self, sql: str, values: Sequence[Any]) -> "psycopg.AsyncCursor[Any]":
        """Run a statement, once more if the connection was lost. Raises StorageFailedError."""
        text = translate(sql)
        async with self._lock:
            try:
                try:
                    return await (await self._open()).execute(text, values, binary=True)
                except psycopg.OperationalError:
                    if self._db is None or not self._db.closed:
                        raise
                    return await (await self._open()).execute(text, values, binary=True)
            except psycopg.OperationalError as error:
                raise unreachable(error) from error

    async def _open(self) -> "psycopg.AsyncConnection[Any]":
        if self._db is None or self._db.closed:
            self._db = await open_async(self._url, (LOG,), read_only=False)
        return self._db


def _url(staged: Staged) -> str | None:
    return staged.stored.url if staged.stored is not None else None


def _state(row: Sequence[Any]) -> UploadState:
    upload_id, user_id, size, declared, *times = row
    return UploadState(AssetId(upload_id), user_id, size, orjson.loads(declared), *times)
