"""How a search may be worded and narrowed."""

from collections.abc import Sequence
from typing import Final

from asset_ledger.api.contract.parameters import CURSOR, MIN_POSITION, PAGE_SIZE, Parameter

SEARCH_FILTERS: Final[Sequence[Parameter]] = (
    Parameter("content_type", "With a media type that begins so.", repeats=True),
    Parameter("workflow_id", "Made by this workflow.", repeats=True),
)
SEARCH: Final[Sequence[Parameter]] = (
    Parameter("query", "Words that are all to be found.", default=""),
    *SEARCH_FILTERS,
    PAGE_SIZE,
    CURSOR,
    MIN_POSITION,
)
