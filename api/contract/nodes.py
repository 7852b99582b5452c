"""The bodies that start and finish a run of a node, and the parameters of a list of nodes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from asset_ledger.api.contract.fields import Fields, parse_field
from asset_ledger.api.contract.parameters import CURSOR, MIN_POSITION, PAGE_SIZE, Parameter, one_of
from asset_ledger.ledger.domain.event import parse_time
from asset_ledger.ledger.domain.job import Ending
from asset_ledger.ledger.domain.node import NodeEnd, NodeStart
from asset_ledger.projections.queries.nodes import SORTS


class NodeStartIn(BaseModel):
    """The start of a run of a node. null means absent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    node_id: str
    run: Annotated[
        str | None, Field(description="Names each run of a node that runs several times.")
    ] = None
    workflow_id: Annotated[str | None, Field(description="By default that of the job.")] = None
    made_at: Annotated[str | None, Field(description="When it happened, RFC 3339.")] = None


class NodeFinishIn(NodeStartIn):
    """The end of a run of a node."""

    status: Ending
    error: Annotated[str | None, Field(description="Why it did not complete.")] = None
    seconds: Annotated[float | None, Field(description="By default the time since the start.")] = (
        None
    )


def node_start(fields: Fields) -> NodeStart:
    """Return the start in checked fields. Raises FieldError for a malformed time."""
    return NodeStart(**_given(fields))


def node_end(fields: Fields) -> NodeEnd:
    """Return the end in checked fields. Raises FieldError for a malformed time."""
    return NodeEnd(**_given(fields))


def _given(fields: Fields) -> Mapping[str, Any]:
    return {**fields, "made_at": read_made_at(fields)}


def read_made_at(fields: Mapping[str, Any]) -> datetime | None:
    """Return the claimed time in checked fields, if any. Raises FieldError."""
    made_at = fields.get("made_at")
    return None if made_at is None else parse_field("made_at", parse_time, made_at)


NODE_LISTING: Final[Sequence[Parameter]] = (
    Parameter("sort", "By first event; or largest first.", one_of(SORTS), default="created_at"),
    PAGE_SIZE,
    CURSOR,
    MIN_POSITION,
)
