"""Find assets by the path of their folders' names, in the order of the bytes of these paths.

A segment is the name of an asset, or of a folder with a `/` after it, so that segments sort as the
whole paths do. A `/` inside a name is escaped, as `api.s3.names` describes. Of equal segments in a
folder, the newest asset counts.
"""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.migrations.segments import INDEXED, SEGMENT

MARKER: Final = "s3-directory"
"""In the metadata of a folder: true if an S3 client has put its own key, which ends with `/`."""

PAGE: Final = 256
"""How many segments are read at once."""

_SEGMENTS: Final = f"""
    SELECT segment, id, content_type = 'folder', content_type = 'folder'
        AND coalesce(CAST(metadata -> '{MARKER}' AS TEXT), '') = 'true',
        size, digest, updated_at
    FROM (
        SELECT {SEGMENT} AS segment, max(seq) AS newest FROM assets INDEXED BY assets_by_segment
        WHERE user_id = ? AND parent_id {{}} AND {SEGMENT} {{}} ? AND {INDEXED}
        GROUP BY {SEGMENT} ORDER BY {SEGMENT} LIMIT ?
    ) AS chosen CROSS JOIN assets ON assets.seq = chosen.newest ORDER BY segment
"""


class KeyEntry(NamedTuple):
    """An asset in a folder. `updated_at` is RFC 3339; `digest` is None for one without bytes.

    `is_marker`: a folder that is a key itself, as well as the folder of others.
    """

    segment: str
    id: AssetId
    is_folder: bool
    is_marker: bool
    size: int
    digest: str | None
    updated_at: str


class KeyQueries:
    """Queries by path, each one statement a folder."""

    def __init__(self, readers: AsyncReaders) -> None:
        self._readers = readers

    async def segments(
        self, user_id: str, folder: AssetId | None, start: str = "", limit: int = PAGE
    ) -> list[KeyEntry]:
        """Return entries of a folder from a segment on, in order. At home: folders only.

        With `"\\0"` at its end, `start` is the least text after a segment.
        """
        inside = "IS NULL" if folder is None else "= ?"
        first, is_after, _ = start.partition("\0")  # which PostgreSQL does not take
        sql = _SEGMENTS.format(inside, ">" if is_after else ">=")
        parameters = (user_id, *(() if folder is None else (folder,)), first, limit)
        rows = await self._readers.rows(sql, parameters)
        return [
            KeyEntry(segment, AssetId(id), bool(is_folder), bool(is_marker), *rest)
            for segment, id, is_folder, is_marker, *rest in rows
        ]

    async def find(self, user_id: str, folder: AssetId | None, segment: str) -> KeyEntry | None:
        """Return the newest asset with this segment in a folder; None if there is none."""
        found = await self.segments(user_id, folder, segment, 1)
        return found[0] if found and found[0].segment == segment else None

    async def walk(
        self, user_id: str, folder: AssetId, path: str, start: str
    ) -> AsyncIterator[tuple[str, KeyEntry]]:
        """Yield the assets below a folder whose paths are at least `start`, with their paths.

        `path` is that of the folder. Folders without a marker are not yielded.
        """
        if start > path and not start.startswith(path):
            return
        head, slash, _ = start.removeprefix(path).partition("/") if start > path else ("", "", "")
        following = head + slash
        while True:
            page = await self.segments(user_id, folder, following)
            for entry in page:
                if not entry.is_folder:
                    yield path + entry.segment, entry
                    continue
                inside = path + entry.segment
                if entry.is_marker and inside >= start:
                    yield inside, entry
                async for found in self.walk(user_id, entry.id, inside, start):
                    yield found
            if len(page) < PAGE:
                return
            following = page[-1].segment + "\0"
