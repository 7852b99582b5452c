"""Variables of the environment, for one test or for the tests of a module."""

import os
from collections.abc import Mapping

import pytest


def set_only(patch: pytest.MonkeyPatch, prefix: str, values: Mapping[str, str]) -> None:
    """Set these variables, and remove all others that begin with the prefix."""
    for name in [name for name in os.environ if name.startswith(prefix)]:
        patch.delenv(name)
    for name, value in values.items():
        patch.setenv(name, value)
