"""Walk folders at any depth, a page at a time.

A tree takes the memory of one page and of the ids of its folders. Folders that contain each other
are walked once.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

import orjson

from asset_ledger.ledger.errors import AssetDeletedError, UnknownAssetError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.storage.database import AsyncReaders

PAGE: Final = 32
"""How many assets are read at once: each may have 32 KiB of metadata."""

DEEPEST: Final = 100
"""Folders above an asset that are returned. Folders that contain each other have no top."""

_CHILDREN: Final = """
    SELECT seq, id, content_type = 'folder', CAST(json AS BLOB)
    FROM assets INDEXED BY assets_by_parent
    WHERE user_id = ? AND {parent} AND deleted_at IS NULL AND seq > ?
    ORDER BY seq LIMIT ?
"""
_CHOSEN: Final = """
    SELECT wanted.value, asset.id, content_type = 'folder', CAST(asset.json AS BLOB), deleted_at,
        deleted_by, position
    FROM json_each(?) AS wanted
        LEFT JOIN assets AS asset ON asset.id = wanted.value AND user_id = ?
    ORDER BY wanted.key
"""
_ABOVE: Final = f"""
    WITH RECURSIVE above(id, name, parent_id, depth) AS (
        SELECT id, name, parent_id, 0 FROM assets WHERE id = ? AND user_id = ?
        UNION ALL
        SELECT folder.id, folder.name, folder.parent_id, depth + 1
        FROM above CROSS JOIN assets AS folder ON folder.id = above.parent_id
        WHERE depth < {DEEPEST}
    )
    SELECT id, name FROM above WHERE depth > 0 ORDER BY depth DESC
"""


class Member(NamedTuple):
    """An asset that was requested or found in a folder; `json` is its API document."""

    id: AssetId
    is_folder: bool
    json: bytes


class FolderQueries:
    """Queries of folders, each one statement a page on a read-only connection."""

    def __init__(self, readers: AsyncReaders) -> None:
        self._readers = readers

    async def above(self, user_id: str, asset_id: AssetId) -> list[tuple[str, str]]:
        """Return id and name of the folders that contain an asset, from the outermost on."""
        rows = await self._readers.rows(_ABOVE, (asset_id, user_id), brief=True)
        return [(folder_id, name) for folder_id, name in rows]

    async def below(
        self, user_id: str, folder: AssetId | None
    ) -> AsyncIterator[tuple[AssetId | None, list[Member]]]:
        """Yield pages of all live assets below a folder (None: home), each with its parent's id.

        A folder comes before its contents.
        """
        waiting, known = deque([folder]), {folder}
        while waiting:
            parent = waiting.popleft()
            async for page in self._pages(user_id, parent):
                fresh = [member for member in page if member.id not in known]
                folders = [member.id for member in fresh if member.is_folder]
                waiting.extend(folders)
                known.update(folders)
                yield parent, fresh

    async def chosen(
        self, user_id: str, asset_ids: Sequence[AssetId]
    ) -> AsyncIterator[list[Member]]:
        """Yield the given assets, in the given order, a page at a time.

        Raises UnknownAssetError, also for an asset of another user, or AssetDeletedError.
        """
        for first in range(0, len(asset_ids), PAGE):
            wanted = orjson.dumps(asset_ids[first : first + PAGE]).decode()
            rows = await self._readers.rows(_CHOSEN, (wanted, user_id))
            yield [_chosen(*row) for row in rows]

    async def _pages(self, user_id: str, folder: AssetId | None) -> AsyncIterator[list[Member]]:
        wanted = (user_id,) if folder is None else (user_id, folder)
        sql = _CHILDREN.format(parent="parent_id IS NULL" if folder is None else "parent_id = ?")
        last: int | None = 0
        while last is not None:
            rows = await self._readers.rows(sql, (*wanted, last, PAGE))
            yield [Member(AssetId(id), bool(is_folder), json) for _, id, is_folder, json in rows]
            last = rows[-1][0] if len(rows) == PAGE else None


def _chosen(
    wanted: str,
    asset_id: str | None,
    is_folder: bool,
    json: bytes,
    deleted_at: str | None,
    deleted_by: str,
    position: int,
) -> Member:
    if asset_id is None:
        raise UnknownAssetError(wanted)
    if deleted_at is not None:
        raise AssetDeletedError(asset_id, by=deleted_by, when=deleted_at, position=position)
    return Member(AssetId(asset_id), bool(is_folder), json)
