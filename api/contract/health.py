"""What `/readyz` says of each part."""

from typing import Annotated

from pydantic import Field

from asset_ledger.api.contract.shapes import AnswerModel


class PartOut(AnswerModel):
    """One part. Which members it has beyond the first two depends on what it is."""

    name: Annotated[str, Field(description="`writer`, `disk`, or `projection` and its name.")]
    ok: bool
    reason: Annotated[str | None, Field(description="Why it is not; null while it is.")] = None
    waiting: Annotated[int, Field(description="Writes in the queue.")] = 0
    free_bytes: Annotated[int, Field(description="Space on the disk of the data folder.")] = 0
    position: Annotated[int, Field(description="The last event that the projection reflects.")] = 0
    lag: Annotated[int, Field(description="How many events the projection lacks.")] = 0
    optional: Annotated[
        bool, Field(description="A projection of somebody else's: the server is ready without it.")
    ] = False


class ReadyOut(AnswerModel):
    """Whether everything works, and what does not."""

    ready: bool
    parts: list[PartOut]
