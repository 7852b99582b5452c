"""The same names for code that does not await: `api.sdk.sync` under a name that is not generic."""

from api.sdk.sync import *  # noqa: F403
from api.sdk.sync import __all__ as __all__
