"""The arguments of the tools: their JSON Schemas, and how they are checked."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from asset_ledger.api.contract.moments import read_moment
from asset_ledger.api.contract.parameters import MAX_POSITION

Moment = Annotated[str, AfterValidator(read_moment)]

_MOMENT: Final = "2026-01-31T12:00:00Z, or 2026-01-31 (UTC), or a time ago: 7d, 12h, 30m."


class Arguments(BaseModel):
    """The base class: exactly these arguments. null means: not given."""

    model_config = ConfigDict(extra="forbid")


class Paged(Arguments):
    """Arguments of a list."""

    limit: Annotated[int, Field(ge=1, le=100, description="The most rows.")] = 20
    cursor: Annotated[
        str | None, Field(description="`next` of the answer before, with the same arguments.")
    ] = None


class Made(Paged):
    """What made assets, and when."""

    node_id: Annotated[str | None, Field(description="Made by this node.")] = None
    job_id: Annotated[str | None, Field(description="Made in this job.")] = None
    workflow_id: Annotated[str | None, Field(description="Made by this workflow.")] = None
    content_type: Annotated[str | None, Field(description="A prefix, such as image/.")] = None
    tag: Annotated[str | None, Field(description="With exactly this tag.")] = None
    created_after: Annotated[Moment | None, Field(description=f"From then on: {_MOMENT}")] = None
    created_before: Annotated[Moment | None, Field(description=f"Before: {_MOMENT}")] = None
    size_min: Annotated[int | None, Field(ge=0, description="At least so many bytes.")] = None
    size_max: Annotated[int | None, Field(ge=0, description="At most so many bytes.")] = None


class SearchArguments(Made):
    """Which assets, in which order."""

    query: Annotated[
        str | None, Field(description="Words that name, tags and metadata must all contain.")
    ] = None
    name: Annotated[str | None, Field(description="With exactly this name.")] = None
    digest: Annotated[str | None, Field(description="With exactly these bytes: sha256:...")] = None
    parent_id: Annotated[str | None, Field(description="In the folder with this id.")] = None
    deleted: Annotated[Literal["false", "true", "any"], Field(description="Tombstones.")] = "false"
    sort: Annotated[
        Literal["created_at", "-created_at", "name", "-name", "size", "-size"],
        Field(description="`-` is descending: newest or largest first."),
    ] = "-created_at"


class JobArguments(Paged):
    """One job, or which jobs."""

    job_id: Annotated[str | None, Field(description="This job, with its nodes.")] = None
    query: Annotated[str | None, Field(description="Jobs whose ids begin with this.")] = None
    status: Annotated[
        Literal["untracked", "running", "stale", "completed", "failed", "cancelled", "lost"] | None,
        Field(description="Jobs with this status."),
    ] = None
    workflow_id: Annotated[str | None, Field(description="Jobs of this workflow.")] = None
    node_id: Annotated[str | None, Field(description="Jobs in which this node ran.")] = None
    started_after: Annotated[Moment | None, Field(description=f"From then on: {_MOMENT}")] = None
    started_before: Annotated[Moment | None, Field(description=f"Before: {_MOMENT}")] = None
    sort: Annotated[
        Literal["created_at", "-created_at", "-bytes", "-assets", "-duration", "-finished_at"],
        Field(description="Order of jobs."),
    ] = "-created_at"


class ReplayArguments(Arguments):
    """The events of a job."""

    job_id: str
    attempt: Annotated[
        int | None, Field(ge=1, le=MAX_POSITION, description="Only of this attempt.")
    ] = None
    after: Annotated[
        int,
        Field(ge=0, le=MAX_POSITION, description="Only events after this position: `next_after`."),
    ] = 0
    limit: Annotated[int, Field(ge=1, le=200, description="The most events.")] = 50


class CompareArguments(Paged):
    """Two jobs."""

    a: Annotated[str, Field(description="The id of a job.")]
    b: Annotated[str, Field(description="The id of another job.")]


class UsageArguments(Made):
    """Groups, and which assets they count."""

    group_by: Annotated[
        str,
        Field(
            description="node_id, job_id, workflow_id, content_type, day or hour;"
            " or two of them: day,node_id."
        ),
    ] = "node_id"
    tz: Annotated[str | None, Field(description="Zone of days: Europe/Berlin. Or UTC.")] = None
    sort: Annotated[
        Literal["-bytes", "-count", "-largest", "-seconds", "-failed", "key"],
        Field(description="-largest: the largest single file first; -bytes: the largest sum."),
    ] = "-bytes"


class LineageArguments(Arguments):
    """A walk from an asset."""

    asset_id: str
    direction: Annotated[
        Literal["up", "down", "both"],
        Field(description="up: what it was made from; down: what was made from it."),
    ] = "both"
    depth: Annotated[int, Field(ge=1, le=100, description="The most steps.")] = 10


class PreviewArguments(Arguments):
    """One asset."""

    asset_id: str


class VerifyArguments(Arguments):
    """A job or an asset."""

    job_id: Annotated[str | None, Field(description="Check all events and files of it.")] = None
    asset_id: Annotated[str | None, Field(description="Or of this asset.")] = None


def schema_of(model: type[Arguments]) -> dict[str, Any]:
    """Return the JSON Schema of arguments, without titles, and without null as a type."""
    schema = model.model_json_schema()
    for each in schema["properties"].values():
        del each["title"]
        if "anyOf" in each:
            each.update(each.pop("anyOf")[0])
            del each["default"]
    return {name: value for name, value in schema.items() if name not in ("title", "description")}


def refusal_of(error: ValidationError) -> str:
    """Return what is wrong with arguments, as one line."""
    return "; ".join(_fault(each["loc"], each["msg"], each["type"]) for each in error.errors())


def _fault(place: tuple[int | str, ...], message: str, kind: str) -> str:
    name = ".".join(map(str, place)) or "arguments"
    if kind == "extra_forbidden":
        return f"{name} is no argument of this tool"
    if kind == "missing":
        return f"{name} is required"
    return f"{name}: {message.removeprefix('Value error, ')}"
