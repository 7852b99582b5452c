"""Record what workflows make, and query it: `from asset_ledger import Asset, connect`.

The names are those of `asset_ledger.api.sdk`. They are loaded on first use, so that the server and
the command line do not load the SDK.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asset_ledger.api.sdk import *  # noqa: F403
    from asset_ledger.api.sdk import __all__ as __all__


def __getattr__(name: str) -> object:
    from asset_ledger.api import sdk  # noqa: PLC0415

    if name != "__all__" and name not in sdk.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(sdk, name)


def __dir__() -> list[str]:
    from asset_ledger.api import sdk  # noqa: PLC0415

    return sorted(sdk.__all__)
