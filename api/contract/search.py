"""The parameters of a search."""

from collections.abc import Sequence
from typing import Final

from asset_ledger.api.contract.parameters import CURSOR, MIN_POSITION, PAGE_SIZE, Parameter

SEARCH_FILTERS: Final[Sequence[Parameter]] = (
    Parameter("content_type", "With a media type that starts with this.", repeats=True),
    Parameter("workflow_id", "Made by this workflow.", repeats=True),
)
SEARCH: Final[Sequence[Parameter]] = (
    Parameter("query", "Words that an asset must all contain.", default=""),
    *SEARCH_FILTERS,
    PAGE_SIZE,
    CURSOR,
    MIN_POSITION,
)
