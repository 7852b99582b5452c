"""An asset as it was at one of its versions: what `version` asks for."""

from asset_ledger.api.http.request import Request
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.assets import Found
from asset_ledger.projections.tables.assets import document_json


async def json_of_version(request: Request, found: Found) -> bytes:
    """The JSON of a live asset, at the version that was asked for, else as it is.

    Raises UnknownVersionError.
    """
    version = request.asked.get("version", found.version)
    if version == found.version:
        return found.json
    asset = await request.ledger.replay(
        Replay.asset_at_version, request.user_id, request.asset_id, version
    )
    return document_json(asset).encode()
