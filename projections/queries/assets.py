"""Queries of the table `assets`: one asset, pages in any order, counts, the contents of a folder.

Each query is one statement on a read-only connection. Only lists by name or size need more.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from asset_ledger.ledger.errors import AssetDeletedError, UnknownAssetError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.asset_query import AssetQuery
from asset_ledger.projections.queries.asset_statements import (
    WALK,
    breadth_statement,
    count_statement,
    ids_statement,
    ordered_page,
    ordered_statement,
    page_of,
    page_statement,
)
from asset_ledger.projections.queries.catalog import CatalogQueries
from asset_ledger.projections.queries.pages import (
    PAGE_SIZE,
    Page,
    PendingBackfill,
    check_backfilled,
)


class AssetRow(NamedTuple):
    """A live asset: its API JSON, its version, and the position that the table reflects."""

    json: bytes
    version: int
    position: int


_FIND: Final = """
    SELECT CAST(json AS BLOB), version, deleted_at, deleted_by, position,
        (SELECT position FROM positions WHERE projection = 'assets')
    FROM assets WHERE id = ? AND user_id = ?
"""
_CHILDREN: Final = """
    SELECT id FROM assets INDEXED BY assets_by_parent
    WHERE user_id = ? AND parent_id = ? AND deleted_at IS NULL ORDER BY seq LIMIT ?
"""
_FOLDERS: Final = """
    SELECT id FROM assets INDEXED BY assets_by_parent
    WHERE user_id = ? AND parent_id = ? AND deleted_at IS NULL AND content_type = 'folder'
    ORDER BY seq
"""
_TOMBSTONES: Final = """
    SELECT seq, id FROM assets INDEXED BY assets_deleted_by_parent
    WHERE user_id = ? AND parent_id = ? AND deleted_at IS NOT NULL AND position > ?
        AND position < ? AND seq > ? ORDER BY seq LIMIT ?
"""
_DELETED_WITH: Final = """
    WITH RECURSIVE gone(id, position) AS (
        SELECT id, position FROM assets WHERE id = ? AND user_id = ? AND deleted_at IS NOT NULL
        UNION
        SELECT child.id, child.position
        FROM gone CROSS JOIN assets AS child INDEXED BY assets_deleted_by_parent
            ON child.user_id = ? AND child.parent_id = gone.id
        WHERE child.deleted_at IS NOT NULL AND child.position > gone.position
    )
    SELECT id FROM gone
"""
_ORPHANS: Final = """
    SELECT child.user_id, child.id
    FROM assets AS folder INDEXED BY assets_deleted_folders
    CROSS JOIN assets AS child INDEXED BY assets_by_parent
        ON child.user_id = folder.user_id AND child.parent_id = folder.id
    WHERE folder.deleted_at IS NOT NULL AND folder.content_type = 'folder'
        AND child.deleted_at IS NULL
    LIMIT ?
"""


class AssetQueries:
    """Queries of assets. `catalog` serves the lists that are too long to sort."""

    def __init__(
        self,
        readers: AsyncReaders,
        catalog: CatalogQueries,
        pending_backfill: PendingBackfill = frozenset,
    ) -> None:
        self._readers, self.catalog, self._pending_backfill = readers, catalog, pending_backfill

    async def find(self, user_id: str, asset_id: AssetId) -> AssetRow:
        """Return an asset of the user. Raises UnknownAssetError or AssetDeletedError."""
        rows = await self._readers.rows(_FIND, (asset_id, user_id), brief=True)
        if not rows:
            raise UnknownAssetError(asset_id)
        json, version, deleted_at, deleted_by, last, reflected = rows[0]
        if deleted_at is not None:
            raise AssetDeletedError(asset_id, by=deleted_by, when=deleted_at, position=last)
        return AssetRow(json, version, reflected)

    async def page(
        self,
        user_id: str,
        filters: Mapping[str, Sequence[str]],
        *,
        sort: str = "created_at",
        page_size: int = PAGE_SIZE,
        cursor: str = "",
        deleted: str = "false",
    ) -> Page:
        """Return the assets that match every filter, from a cursor on (`""`: from the start).

        A filter matches if any of its values does; `deleted` is `true`, `false` or `any`. Raises
        ParameterError for an invalid filter, sort or page size, CursorError for the cursor of
        another query, and ProjectionBehindError if the catalog is behind.
        """
        query = AssetQuery.of(user_id, filters, sort, page_size, cursor, deleted)
        self.check_filled(query)
        if query.sort.column is None:
            (row,) = await self._readers.rows(*page_statement(query))
            return page_of(query, *row)
        ((breadth,),) = await self._readers.rows(*breadth_statement(query))
        if breadth > WALK:
            return await self.catalog.page(query)
        (row,) = await self._readers.rows(*ordered_statement(query))
        return ordered_page(query, *row)

    async def count(
        self, user_id: str, filters: Mapping[str, Sequence[str]], *, deleted: str = "false"
    ) -> int:
        """Return how many assets match every filter. Reads all rows of the narrowest index."""
        query = AssetQuery.of(user_id, filters, "created_at", 1, "", deleted)
        self.check_filled(query)
        ((found,),) = await self._readers.rows(*count_statement(query))
        return int(found)

    async def matching(self, user_id: str, filters: Mapping[str, Sequence[str]]) -> list[AssetId]:
        """Return the ids of all live assets that match every filter, without a limit."""
        query = AssetQuery.of(user_id, filters, "created_at", 1, "")
        self.check_filled(query)
        rows = await self._readers.rows(*ids_statement(query))
        return [AssetId(asset_id) for (asset_id,) in rows]

    def check_filled(self, query: AssetQuery) -> None:
        """Raise ProjectionBehindError for a filter on a column that is not backfilled yet."""
        columns = {each.column for condition in query.conditions for each in condition.any_of}
        check_backfilled(self._pending_backfill, "assets", columns)

    async def children(self, user_id: str, parent_id: AssetId, limit: int) -> list[AssetId]:
        """Return the live assets directly in a folder, in creation order."""
        rows = await self._readers.rows(_CHILDREN, (user_id, parent_id, limit))
        return [AssetId(asset_id) for (asset_id,) in rows]

    async def folders_in(self, user_id: str, parent_id: AssetId) -> list[AssetId]:
        """Return the live folders directly in a folder, in creation order."""
        rows = await self._readers.rows(_FOLDERS, (user_id, parent_id))
        return [AssetId(asset_id) for (asset_id,) in rows]

    async def tombstones(
        self, user_id: str, parent_id: AssetId, after: int, before: int, seq: int, limit: int
    ) -> list[tuple[int, AssetId]]:
        """Return the assets directly in a folder that were deleted between two positions.

        They are pairs of `seq` and id, in creation order, and were created after `seq`.
        """
        parameters = (user_id, parent_id, after, before, seq, limit)
        rows = await self._readers.rows(_TOMBSTONES, parameters)
        return [(seq, AssetId(asset_id)) for seq, asset_id in rows]

    async def deleted_with(self, user_id: str, asset_id: AssetId) -> list[AssetId]:
        """Return a tombstone, and those that were deleted with it if it is a folder."""
        rows = await self._readers.rows(_DELETED_WITH, (asset_id, user_id, user_id))
        return [AssetId(found) for (found,) in rows]

    async def orphans(self, limit: int) -> list[tuple[str, AssetId]]:
        """Return owner and id of live assets in deleted folders: a deletion did not finish."""
        rows = await self._readers.rows(_ORPHANS, (limit,))
        return [(user_id, AssetId(asset_id)) for user_id, asset_id in rows]
