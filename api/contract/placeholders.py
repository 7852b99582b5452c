"""What clients show of an asset before its bytes: folders, placeholders of pictures, peaks."""

from typing import Annotated, Final

from pydantic import Field

from asset_ledger.api.contract.parameters import Parameter, whole
from asset_ledger.api.contract.shapes import AnswerModel, Id
from asset_ledger.ledger.ids import parse_asset_id

MOST_PEAKS: Final = 1_600

IDS: Final = Parameter("id", "The assets.", parse_asset_id, repeats=True)
PEAKS: Final = Parameter(
    "n", "How many peaks there are at most.", whole(1, MOST_PEAKS), default=200
)


class FolderOut(AnswerModel):
    """A folder that contains an asset, directly or not."""

    id: Id
    name: str


class FoldersOut(AnswerModel):
    """The folders that contain an asset, from the outermost on. The home folder is not listed."""

    folder_path: list[FolderOut]


class PlaceholderOut(AnswerModel):
    """Pixels of a picture as it is shown, and its ThumbHash: some 25 bytes in base64."""

    id: Id
    version: int
    width: int
    height: int
    thumbhash: str


class PlaceholdersOut(AnswerModel):
    """The placeholders that are known: those of contents with a thumbnail."""

    placeholders: list[PlaceholderOut]


class PeaksOut(AnswerModel):
    """How loud a sound is, from 0 to 1, in parts of equal length; its length in seconds."""

    duration: float
    peaks: list[Annotated[float, Field(ge=0, le=1)]]
