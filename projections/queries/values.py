"""Queries of the values of a field, the most frequent first: suggestions for a filter.

Without filters the counts are exact: the totals of usage, and the catalog's names. With filters,
and for tags, they are counted over the newest 20,000 assets of the narrowest index.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.asset_query import AssetQuery
from asset_ledger.projections.queries.asset_statements import WALK, newest_statement
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.queries.pages import BRIEF

FIELDS: Final = ("node_id", "job_id", "workflow_id", "tag", "content_type", "name")

_LAST: Final = "\U0010ffff"
_RANGE: Final = "{key} >= ? AND {key} < ?"
_MOST: Final = """
    SELECT key, count FROM usage INDEXED BY usage_by_count
    WHERE user_id = ? AND dimension = ? AND key != '' ORDER BY count DESC, key LIMIT ?
"""
_TOTALS: Final = f"""
    SELECT key, count FROM (
        SELECT key, count FROM usage
        WHERE user_id = ? AND dimension = ? AND {_RANGE.format(key="key")} ORDER BY key LIMIT {WALK}
    ) ORDER BY count DESC, key LIMIT ?
"""
_NAMES: Final = f"""
    SELECT name, count(*) FROM (
        SELECT name FROM catalog INDEXED BY catalog_by_name
        WHERE user_id = ? AND live AND {_RANGE.format(key="name")} ORDER BY name LIMIT {WALK}
    ) GROUP BY name ORDER BY 2 DESC, 1 LIMIT ?
"""
_COUNTED: Final = """
    SELECT each.value, count(*) FROM ({found}) AS walked
        CROSS JOIN assets AS a ON a.seq = walked.seq CROSS JOIN json_each({column}) AS each ON true
    WHERE walked.hit AND each.value >= ? AND each.value < ? GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?
"""
_POSITION: Final = "SELECT position FROM positions WHERE projection = ?"


class Values(NamedTuple):
    """Values with their counts, and the position that these reflect."""

    counts: Sequence[tuple[str, int]]
    position: int


class ValueQueries:
    """Queries of the values of a field among the user's live assets."""

    def __init__(
        self,
        totals: AsyncReaders,
        catalog: AsyncReaders,
        tables: AsyncReaders,
        assets: AssetQueries,
    ) -> None:
        self._totals, self._catalog, self._tables = totals, catalog, tables
        self._assets = assets

    async def most(
        self,
        user_id: str,
        field: str,
        prefix: str,
        filters: Mapping[str, Sequence[str]],
        limit: int,
    ) -> Values:
        """Return the most frequent values of a field that begin with a prefix.

        Raises ParameterError for a malformed filter, and ProjectionBehindError.
        """
        ends = (prefix, prefix + _LAST)
        if filters or field == "tag":
            return await self._counted(user_id, field, ends, filters, limit)
        if field == "name":
            return await _values(self._catalog, "catalog", _NAMES, (user_id, *ends, limit))
        if prefix:
            return await _values(self._totals, "usage", _TOTALS, (user_id, field, *ends, limit))
        brief = limit <= BRIEF
        return await _values(self._totals, "usage", _MOST, (user_id, field, limit), brief)

    async def _counted(
        self,
        user_id: str,
        field: str,
        ends: tuple[str, str],
        filters: Mapping[str, Sequence[str]],
        limit: int,
    ) -> Values:
        query = AssetQuery.of(user_id, filters, "-created_at", 1, "")
        self._assets.check_filled(query)
        column = "a.tags" if field == "tag" else f"json_array(a.{field})"
        found = newest_statement(query)
        sql = _COUNTED.format(found=found.text, column=column)
        return await _values(self._tables, "assets", sql, (*found.parameters, *ends, limit))


async def _values(
    readers: AsyncReaders, projection: str, sql: str, parameters: Sequence[Any], brief: bool = False
) -> Values:
    ((position,),) = await readers.rows(_POSITION, (projection,), brief=True)
    rows = await readers.rows(sql, parameters, brief)
    return Values([(value, count) for value, count in rows], position)
