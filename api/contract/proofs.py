"""The body of a proof of several assets."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from asset_ledger.api.contract.asset_id import read_asset_id
from asset_ledger.api.contract.fields import StrictModel, Texts, read_as
from asset_ledger.ledger.ids import AssetId

MAX_PROVEN: Final = 1_000


class ProofsIn(StrictModel):
    """Which assets to prove."""

    asset_ids: Annotated[Texts, Field(min_length=1, max_length=MAX_PROVEN)]


def proven_ids(sent: Mapping[str, Any]) -> Sequence[AssetId]:
    """Return the ids, each once. Raises FieldError, and UnknownAssetError for a malformed id."""
    ids: Any = read_as(ProofsIn, sent)["asset_ids"]
    return [read_asset_id(text) for text in dict.fromkeys(ids)]
