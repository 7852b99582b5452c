"""Find assets by the path of their folders' names, in the order of the bytes of these paths.

A segment is the name of an asset, or of a folder with a `/` after it, so that segments sort as the
whole paths do. A `/` inside a name is escaped, as `api.s3.names` describes. Of equal segments in a
folder, the newest asset counts.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _OpenFolder:
    """A folder of a walk: its path, the segment to read on from, and the entries read so far.

    `is_read`: there are no more entries to read.
    """

    id: AssetId
    path: str
    following: str
    entries: deque[KeyEntry] = field(default_factory=deque)
    is_read: bool = False


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

        `path` is that of the folder. Folders without a marker are not yielded. The open folders
        are in a list, not in calls of this method: they may be nested to any depth.
        """
        opened = [_open(folder, path, start)]
        while opened:
            entry = await self._next(user_id, opened[-1])
            if entry is None:
                opened.pop()
                continue
            inside = opened[-1].path + entry.segment
            if not entry.is_folder or (entry.is_marker and inside >= start):
                yield inside, entry
            if entry.is_folder and (inside >= start or start.startswith(inside)):
                opened.append(_open(entry.id, inside, start))

    async def _next(self, user_id: str, folder: _OpenFolder) -> KeyEntry | None:
        """Return the next entry of a folder; None at its end."""
        if not folder.entries and not folder.is_read:
            page = await self.segments(user_id, folder.id, folder.following)
            folder.entries.extend(page)
            folder.is_read = len(page) < PAGE
            folder.following = f"{page[-1].segment}\0" if page else ""
        return folder.entries.popleft() if folder.entries else None


def _open(folder: AssetId, path: str, start: str) -> _OpenFolder:
    """Return a folder that is read from the segment on in which the path `start` continues."""
    head, slash, _ = start.removeprefix(path).partition("/") if start > path else ("", "", "")
    return _OpenFolder(folder, path, head + slash)
