"""The id of an asset in a path or a body, as it is refused everywhere."""

from asset_ledger.ledger.errors import UnknownAssetError
from asset_ledger.ledger.ids import AssetId, parse_asset_id


def read_asset_id(text: str) -> AssetId:
    """Return the id that a text spells. Raises UnknownAssetError for a text that can be no id."""
    try:
        return parse_asset_id(text)
    except ValueError as error:
        raise UnknownAssetError(text) from error
