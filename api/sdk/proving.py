"""`prove` and `tree_head`: what shows that the record was not changed."""

from collections.abc import Sequence

from asset_ledger.api.sdk.connection import current_gateway
from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.api.sdk.record import AssetRecord


async def prove(
    assets: Sequence[AssetRecord | str], *, size: int | None = None, gateway: Gateway | None = None
) -> Document:
    """Return the proof object of every event of 1 to 1,000 assets, live or deleted.

    Any JSON text of it can be kept and checked without this ledger: see docs/audit.md. It is under
    a checkpoint of the log as it is now, or under that of `size` events, which was signed before;
    assets that were recorded later have no events in it then. Raises UnknownAssetError,
    ParameterError for an unsigned size, and ForbiddenError without the scope audit.
    """
    ids = [asset if isinstance(asset, str) else asset.id for asset in assets]
    return await (gateway or current_gateway()).prove(ids, size)


async def tree_head(*, gateway: Gateway | None = None) -> Document:
    """Return the log as its newest checkpoint has it: `origin`, `size` in events, `root` in base64.

    Besides `opened_at`, `last_recorded_at`, `log_bytes` and `events_last_minute`. Raises
    ForbiddenError without the scope audit.
    """
    return await (gateway or current_gateway()).tree_head()
