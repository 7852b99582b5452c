"""The body of a download of several assets."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from asset_ledger.api.contract.asset_id import read_asset_id
from asset_ledger.api.contract.fields import StrictModel, Texts, read_as
from asset_ledger.api.contract.operations import JSON, URLENCODED, Model
from asset_ledger.api.contract.parameters import Schema
from asset_ledger.ledger.errors import FieldError
from asset_ledger.ledger.ids import AssetId

MAX_LIST: Final = 512 * 1024
"""Bytes of the body: enough for the ids as JSON with spaces between them, or as a form."""

MAX_IDS: Final = 10_000


class DownloadIn(StrictModel):
    """Which assets to download."""

    asset_ids: Annotated[
        Texts, Field(max_length=MAX_IDS, description="Assets; folders with their contents.")
    ]


DOWNLOADS: Final[Mapping[str, Model | Schema]] = {
    JSON: DownloadIn,
    URLENCODED: {
        "type": "object",
        "properties": {
            "asset_ids": {
                "anyOf": [
                    {"type": "array", "items": {"type": "string"}, "maxItems": MAX_IDS},
                    {"type": "string"},
                ]
            }
        },
        "required": ["asset_ids"],
        "additionalProperties": False,
    },
}
"""The body by media type. A form names one asset as a text: its list of one looks the same."""


def download_ids(sent: Mapping[str, Any]) -> Sequence[AssetId]:
    """Return the ids, each once. Raises FieldError, and UnknownAssetError for a malformed id."""
    ids: Any = read_as(DownloadIn, sent)["asset_ids"]
    if not ids:
        raise FieldError("asset_ids", "must name at least one asset")
    return [read_asset_id(text) for text in dict.fromkeys(ids)]
