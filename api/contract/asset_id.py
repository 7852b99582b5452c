"""Read the id of an asset from a path or a body."""

from asset_ledger.ledger.errors import UnknownAssetError
from asset_ledger.ledger.ids import AssetId, parse_asset_id


def read_asset_id(text: str) -> AssetId:
    """Return the asset id in a text. Raises UnknownAssetError for text that is not an id."""
    try:
        return parse_asset_id(text)
    except ValueError as error:
        raise UnknownAssetError(text) from error
