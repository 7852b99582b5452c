"""Properties that open a ledger for each example: a quarter in every run, all in `make slow`."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest
from hypothesis import settings

Test = TypeVar("Test", bound=Callable[..., Any])

FULL: Final = "full"
"""The profile of `make slow` (`--hypothesis-profile`)."""


def budget(examples: int) -> int:
    """So many of these as this run can afford."""
    full = settings.get_current_profile_name() == FULL
    return examples if full else max(1, examples // 4)


def examples(number: int) -> Callable[[Test], Test]:
    """A test by `given`, of so many examples in all."""

    def budgeted(test: Test) -> Test:
        marked: Test = pytest.mark.property(settings(max_examples=budget(number))(test))
        return marked

    return budgeted
