"""What has to be said to set an event aside, and what is answered."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from asset_ledger.api.contract.parameters import MAX_POSITION
from asset_ledger.api.contract.shapes import AnswerModel
from asset_ledger.ledger.commands.skip import Skipped


class SkipIn(BaseModel):
    """An event that projections cannot take, and why they shall go on without it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    position: Annotated[int, Field(ge=1, le=MAX_POSITION, description="Where the event stands.")]
    because: Annotated[str, Field(min_length=1, max_length=1000, description="Kept for ever.")]


class SkipOut(AnswerModel):
    """The projections that go on without the event."""

    skipped: Annotated[int, Field(description="The position of the event that was set aside.")]
    projections: list[str]
    position: Annotated[int, Field(description="Of the last event that says so.")]


def skip_out(position: int, skipped: Skipped) -> dict[str, Any]:
    """The document of an event that was set aside."""
    return {
        "skipped": position,
        "projections": list(skipped.projections),
        "position": skipped.position,
    }
