"""Asset Ledger for workflow code: `api.sdk` under a name that is not generic."""

from api.sdk import *  # noqa: F403
from api.sdk import __all__ as __all__
