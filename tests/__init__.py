"""The test suite. Importing it forbids `ledger`, `projections` and `api` as names of their own.

The checkout is on the path of the tests, so that each floor could be imported without the
namespace, and each of its classes would be loaded twice. A program of the suite that a test starts
(`python -m tests...`) is guarded too.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

FLOORS: Final = ("ledger", "projections", "api")


class NamespaceGuard:
    """The first finder of modules: it refuses a floor outside `asset_ledger`."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ImportError for a floor; leave any other module to the next finder."""
        if name in FLOORS:
            raise ImportError(f"import asset_ledger.{name}, not {name}", name=name)
        return None


sys.meta_path.insert(0, NamespaceGuard)
