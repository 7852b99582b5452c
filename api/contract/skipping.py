"""The request and response models of skipping an event."""

from typing import Annotated, Any

from pydantic import Field

from asset_ledger.api.contract.fields import StrictModel
from asset_ledger.api.contract.parameters import MAX_POSITION
from asset_ledger.api.contract.shapes import AnswerModel
from asset_ledger.ledger.commands.skip import Skipped


class SkipIn(StrictModel):
    """The event to skip, which projections cannot apply, and the reason."""

    position: Annotated[int, Field(ge=1, le=MAX_POSITION, description="The position of the event.")]
    because: Annotated[str, Field(min_length=1, max_length=1000, description="The reason.")]


class SkipOut(AnswerModel):
    """The projections that continue without the event."""

    skipped: Annotated[int, Field(description="The position of the skipped event.")]
    projections: list[str]
    position: Annotated[int, Field(description="The position of the last event recorded for this.")]


def skip_out(position: int, skipped: Skipped) -> dict[str, Any]:
    """Return the response after an event was skipped."""
    return {
        "skipped": position,
        "projections": list(skipped.projections),
        "position": skipped.position,
    }
