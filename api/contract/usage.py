"""How usage may be grouped, narrowed and sorted."""

from collections.abc import Sequence
from typing import Final

from asset_ledger.api.contract.parameters import CURSOR, MIN_POSITION, PAGE_SIZE, Parameter, one_of
from asset_ledger.projections.queries.usage import SORTS
from asset_ledger.projections.tables.usage import DIMENSIONS

USAGE_FILTERS: Final[Sequence[Parameter]] = (
    Parameter("workflow_id", "Made by this workflow.", repeats=True),
    Parameter("job_id", "Made in this job.", repeats=True),
    Parameter("node_id", "Made by this node.", repeats=True),
)
"""Filters narrow together; a repeated one takes any of its values."""

USAGE: Final[Sequence[Parameter]] = (
    Parameter("group_by", "One row for each of these.", one_of(DIMENSIONS), default="node_id"),
    *USAGE_FILTERS,
    Parameter("sort", "The most first; or by key.", one_of(SORTS), default="-bytes"),
    PAGE_SIZE,
    CURSOR,
    MIN_POSITION,
)
