"""The bodies that start and finish a run of a node, and the parameters of a list of nodes."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from asset_ledger.api.contract.fields import Fields, StrictModel
from asset_ledger.api.contract.jobs import AttemptIn, MadeAt, with_time
from asset_ledger.api.contract.parameters import (
    ATTEMPT,
    CURSOR,
    MIN_POSITION,
    PAGE_SIZE,
    Parameter,
    one_of,
)
from asset_ledger.ledger.domain.job import Ending
from asset_ledger.ledger.domain.node import NodeEnd, NodeStart
from asset_ledger.projections.queries.nodes import SORTS


class NodeStartIn(StrictModel):
    """The start of a run of a node. null means absent."""

    node_id: str
    run: Annotated[
        str | None, Field(description="Names each run of a node that runs several times.")
    ] = None
    attempt: Annotated[
        AttemptIn | None, Field(description="By default the last attempt of the job.")
    ] = None
    workflow_id: Annotated[str | None, Field(description="By default that of the job.")] = None
    made_at: MadeAt = None


class NodeFinishIn(NodeStartIn):
    """The end of a run of a node."""

    status: Ending
    error: Annotated[str | None, Field(description="Why it did not complete.")] = None
    seconds: Annotated[float | None, Field(description="By default the time since the start.")] = (
        None
    )


def node_start(fields: Fields) -> NodeStart:
    """Return the start in checked fields. Raises FieldError for a malformed time."""
    return NodeStart(**with_time(fields))


def node_end(fields: Fields) -> NodeEnd:
    """Return the end in checked fields. Raises FieldError for a malformed time."""
    return NodeEnd(**with_time(fields))


NODE_LISTING: Final[Sequence[Parameter]] = (
    Parameter("sort", "By first event; or largest first.", one_of(SORTS), default="created_at"),
    ATTEMPT,
    PAGE_SIZE,
    CURSOR,
    MIN_POSITION,
)
