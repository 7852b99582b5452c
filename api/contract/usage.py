"""The parameters of usage: groupings, filters, time zone, sorting."""

from collections.abc import Sequence
from typing import Final

from asset_ledger.api.contract.assets import FILTERS
from asset_ledger.api.contract.parameters import (
    CURSOR,
    MIN_POSITION,
    PAGE_SIZE,
    Parameter,
    ParameterValues,
    Reader,
    one_of,
)
from asset_ledger.projections.queries.usage import GROUPINGS, SORTS, TIMES, UsageQuery
from asset_ledger.projections.queries.zones import UTC_ZONE, zone_named


def read_groupings(text: str) -> tuple[str, ...]:
    """Return one or two groupings. Raises ValueError."""
    names = tuple(text.split(",", 2))
    if len(names) > 2 or not set(names) <= set(GROUPINGS):
        raise ValueError(f"must be one or two of {', '.join(GROUPINGS)}, with a comma between")
    if len(set(names)) < len(names) or set(names) == TIMES:
        raise ValueError("must not have two groupings of one kind")
    return names


_NAMES: Final = "|".join(GROUPINGS)
_GROUP_BY: Final = {"type": "string", "pattern": f"^({_NAMES})(,({_NAMES}))?$"}

USAGE: Final[Sequence[Parameter]] = (
    Parameter(
        "group_by",
        "One row per value of this; or per pair of values of two of them.",
        Reader(read_groupings, _GROUP_BY),
        default="node_id",
    ),
    Parameter("tz", "The zone of days and hours: an IANA name, or an offset.", zone_named),
    *FILTERS,
    Parameter("sort", "Largest first; or by key.", one_of(SORTS), default="-bytes"),
    PAGE_SIZE,
    CURSOR,
    MIN_POSITION,
)
"""Count live assets and their bytes, by node, job, workflow, content type, day or hour."""


def usage_query(user_id: str, values: ParameterValues) -> UsageQuery:
    """Return the query that parameters describe."""
    filters = {each.name: values[each.name] for each in FILTERS if each.name in values}
    groupings, zone = values["group_by"], values.get("tz", UTC_ZONE)
    if isinstance(groupings, str):  # the default, which is not parsed
        groupings = (groupings,)
    return UsageQuery(user_id, groupings, filters, values["sort"], zone)
