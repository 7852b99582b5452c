"""The number of examples of costly properties: a quarter in `make test`, all in `make slow`."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest
from hypothesis import settings

Test = TypeVar("Test", bound=Callable[..., Any])

FULL: Final = "full"
"""The profile of `make slow` (`--hypothesis-profile`)."""


def budget(examples: int) -> int:
    """Return how many of these examples this run takes."""
    full = settings.get_current_profile_name() == FULL
    return examples if full else max(1, examples // 4)


def examples(number: int) -> Callable[[Test], Test]:
    """Decorate a test by `given` with its number of examples in `make slow`."""

    def budgeted(test: Test) -> Test:
        marked: Test = pytest.mark.property(settings(max_examples=budget(number))(test))
        return marked

    return budgeted
