"""The errors that the SDK raises: the names of `asset_ledger.api.sdk.errors`."""

from asset_ledger.api.sdk.errors import *  # noqa: F403
from asset_ledger.api.sdk.errors import __all__ as __all__
