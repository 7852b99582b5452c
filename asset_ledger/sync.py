"""The SDK for code without async: the names of `asset_ledger.api.sdk.sync`."""

from asset_ledger.api.sdk.sync import *  # noqa: F403
from asset_ledger.api.sdk.sync import __all__ as __all__
