"""Everything that the SDK raises on purpose: `api.sdk.errors` under a name that is not generic."""

from api.sdk.errors import *  # noqa: F403
from api.sdk.errors import __all__ as __all__
