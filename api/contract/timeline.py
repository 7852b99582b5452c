"""The parameters and the answer of a job's timeline."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from asset_ledger.api.contract.parameters import MIN_POSITION, Parameter, whole
from asset_ledger.api.contract.shapes import AnswerModel, Time

TIMELINE: Final[Sequence[Parameter]] = (
    Parameter("buckets", "The most spans of time.", whole(1, 2_000), default=400),
    MIN_POSITION,
)

Bucket = Annotated[
    list[int],
    Field(
        min_length=4,
        max_length=4,
        description="Start (ms since 1970), assets, bytes, position of the first.",
    ),
]


class LaneOut(AnswerModel):
    """The live assets that a node made. `first` and `last` are their `created_at`."""

    node_id: str | None
    first: Time
    last: Time
    assets: int
    bytes: int
    buckets: Annotated[list[Bucket], Field(description="Those with assets, in order.")]


class TimelineOut(AnswerModel):
    """The nodes of a job, by first asset, and how many milliseconds a bucket spans. `truncated`:
    there are more nodes."""

    job_id: str
    step: int
    nodes: list[LaneOut]
    truncated: bool
