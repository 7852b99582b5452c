"""The parameters of usage: grouping, filters, sorting."""

from collections.abc import Sequence
from typing import Final

from asset_ledger.api.contract.parameters import (
    ATTEMPT,
    CURSOR,
    MIN_POSITION,
    PAGE_SIZE,
    Parameter,
    one_of,
)
from asset_ledger.projections.queries.usage import SORTS
from asset_ledger.projections.tables.usage import DIMENSIONS

USAGE_FILTERS: Final[Sequence[Parameter]] = (
    Parameter("workflow_id", "Made by this workflow.", repeats=True),
    Parameter("job_id", "Made in this job.", repeats=True),
    Parameter("node_id", "Made by this node.", repeats=True),
    Parameter("attempt", "Made in this attempt of its job.", ATTEMPT.parse, repeats=True),
)
"""An asset must match every filter, and one of the values of a repeated filter."""

USAGE: Final[Sequence[Parameter]] = (
    Parameter("group_by", "One row per value of this.", one_of(DIMENSIONS), default="node_id"),
    *USAGE_FILTERS,
    Parameter("sort", "Largest first; or by key.", one_of(SORTS), default="-bytes"),
    PAGE_SIZE,
    CURSOR,
    MIN_POSITION,
)
