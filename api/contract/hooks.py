"""The request and response models of webhooks. Only the response to a new one has its secret."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from asset_ledger.api.contract.errors import FieldsError
from asset_ledger.api.contract.events import TOPICS
from asset_ledger.api.contract.fields import Fields, StrictModel, parse_field, read_as
from asset_ledger.api.contract.parameters import MAX_POSITION
from asset_ledger.api.contract.principal import check_user_id
from asset_ledger.api.contract.shapes import AnswerModel, Time
from asset_ledger.ledger.domain.checks import check_tag
from asset_ledger.ledger.errors import FieldError

MAX_URL: Final = 2_000
_TAGS: Final = ("job_id", "node_id", "workflow_id")


class HookIn(StrictModel):
    """A new webhook. null means absent. An event has to match every filter."""

    url: Annotated[str, Field(description="Where events are sent.", max_length=MAX_URL)]
    user_id: Annotated[str | None, Field(description="Whose events; by default yours.")] = None
    all: Annotated[bool | None, Field(description="Events of all users instead.")] = None
    topics: Annotated[
        Annotated[list[str], Field(fail_fast=True)] | None,
        Field(description="Of these kinds; of every kind if absent.", min_length=1),
    ] = None
    job_id: Annotated[str | None, Field(description="Of this job.")] = None
    node_id: Annotated[str | None, Field(description="Of this node.")] = None
    workflow_id: Annotated[str | None, Field(description="Of this workflow.")] = None
    after: Annotated[
        int | None,
        Field(description="From this position on; if absent, from now on.", ge=0, le=MAX_POSITION),
    ] = None


class HookOut(AnswerModel):
    """A webhook without its secret, or `lineage`, the receiver of `lineage_url`.

    `position`: of the last event that was sent or did not match; `lag`: the events after it.
    """

    id: Annotated[str, Field(pattern=r"^([0-9a-f]{12}|lineage)$")]
    url: str
    user_id: Annotated[str | None, Field(description="null: events of all users.")]
    topics: Annotated[list[str], Field(description="None: every kind.")]
    job_id: str | None
    node_id: str | None
    workflow_id: str | None
    created_at: Time
    status: Literal["live", "failing", "disabled"]
    position: int
    lag: int
    delivered: Annotated[int, Field(description="How many events arrived.")]
    error: Annotated[str | None, Field(description="Why the last attempt failed.")]
    failing_since: Time | None
    disabled_at: Time | None


class NewHookOut(HookOut):
    """A webhook that was just made. `secret` cannot be shown again."""

    secret: Annotated[str, Field(pattern=r"^whsec_[A-Za-z0-9+/]{43}=$")]


class HookList(AnswerModel):
    """Every webhook, oldest first."""

    hooks: list[HookOut]


def read_hook(sent: dict[str, Any], caller: str) -> Fields:
    """Return the checked fields of a new webhook; `user_id` is None for events of all users.

    Raises FieldError.
    """
    fields = read_as(HookIn, sent)
    if fields.pop("all", False):
        if "user_id" in fields:
            raise FieldError("user_id", "cannot be combined with all: send one of them")
        fields["user_id"] = None
    else:
        fields["user_id"] = parse_field(
            "user_id", check_user_id, str(fields.get("user_id") or caller)
        )
    topics: Any = fields.get("topics", ())
    if unknown := [topic for topic in topics if topic not in TOPICS]:
        raise FieldsError([("topics", f"{unknown[0]!r} is none of {', '.join(TOPICS)}")])
    for name in _TAGS:
        value = fields.get(name)
        check_tag(name, value if isinstance(value, str) else None)
    return fields
