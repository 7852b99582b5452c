"""The test suite. Importing it forbids the imports `ledger`, `projections` and `api`.

The checkout is on `sys.path`, so these imports would load every class a second time, outside of
`asset_ledger`. Programs that tests start (`python -m tests...`) are checked too.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

FLOORS: Final = ("ledger", "projections", "api")


class NamespaceGuard:
    """A module finder, before all others, that refuses a floor outside `asset_ledger`."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ImportError for a floor; leave any other module to the next finder."""
        if name in FLOORS:
            raise ImportError(f"import asset_ledger.{name}, not {name}", name=name)
        return None


sys.meta_path.insert(0, NamespaceGuard)
