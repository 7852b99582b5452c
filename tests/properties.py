"""The number of examples of costly properties: a quarter in `make test`, all in `make slow`."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest
from hypothesis import settings

Test = TypeVar("Test", bound=Callable[..., Any])

FULL: Final = "full"
"""The profile of `make slow` (`--hypothesis-profile`)."""


def examples(number: int) -> Callable[[Test], Test]:
    """Decorate a test by `given` with its number of examples in `make slow`."""

    def budgeted(test: Test) -> Test:
        full = settings.get_current_profile_name() == FULL
        taken = number if full else max(1, number // 4)
        marked: Test = pytest.mark.property(settings(max_examples=taken)(test))
        return marked

    return budgeted
