"""The bodies that start and finish a job, and the parameters of a list of jobs."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args

from pydantic import Field

from asset_ledger.api.contract.fields import Fields, StrictModel, parse_field
from asset_ledger.api.contract.parameters import (
    ATTEMPT,
    CURSOR,
    MAX_POSITION,
    MIN_POSITION,
    PAGE_SIZE,
    Parameter,
    ParameterValues,
    one_of,
    read_time,
    refuse,
    whole,
)
from asset_ledger.ledger.domain.event import parse_time
from asset_ledger.ledger.domain.job import Ending, JobEnd, JobStart, JobStatus
from asset_ledger.projections.queries.job_comparison import STATUSES
from asset_ledger.projections.queries.job_list import JOB_SORTS, MAX_PREVIEWED, JobQuery
from asset_ledger.projections.queries.jobs import JobQueries

MadeAt = Annotated[str | None, Field(description="When it happened, RFC 3339; needs `admin`.")]
AttemptIn = Annotated[int, Field(ge=1, le=MAX_POSITION)]


class JobStartIn(StrictModel):
    """The start of an attempt of a job. null means absent."""

    workflow_id: Annotated[str | None, Field(description="The workflow it runs.")] = None
    parent_job_id: Annotated[str | None, Field(description="The job that started it.")] = None
    parameters: Annotated[dict[str, Any] | None, Field(description="At most 32 KiB.")] = None
    attempt: Annotated[
        AttemptIn | None,
        Field(
            description="1, or the one after the last, which has ended. A repeat changes nothing."
        ),
    ] = None
    made_at: MadeAt = None


class JobFinishIn(StrictModel):
    """The end of an attempt of a job. `lost`: it stopped without a report of its own."""

    status: Ending
    error: Annotated[str | None, Field(description="Why it did not complete.")] = None
    attempt: Annotated[
        AttemptIn | None, Field(description="If absent, the running or the last one.")
    ] = None
    made_at: MadeAt = None


def job_start(fields: Fields) -> JobStart:
    """Return the start in checked fields. Raises FieldError for a malformed time."""
    return JobStart(**with_time(fields))


def job_end(fields: Fields) -> JobEnd:
    """Return the end in checked fields. Raises FieldError for a malformed time."""
    return JobEnd(**with_time(fields))


def with_time(fields: Fields) -> dict[str, Any]:
    """Return the fields with `made_at` parsed, if given. Raises FieldError."""
    given: dict[str, Any] = {**fields}
    if "made_at" in given:
        given["made_at"] = parse_field("made_at", parse_time, given["made_at"])
    return given


_STATUSES: Final = [status for part in get_args(JobStatus) for status in get_args(part) or (part,)]

JOB_FILTERS: Final[Sequence[Parameter]] = (
    Parameter("status", "With this status.", one_of(_STATUSES), repeats=True),
    Parameter("workflow_id", "Of this workflow.", repeats=True),
    Parameter("parent_job_id", "Started by this job.", repeats=True),
    Parameter("attempt", "Whose last attempt has this number.", ATTEMPT.parse, repeats=True),
    Parameter("node_id", "With an asset or a run of this node.", repeats=True),
    Parameter("started_after", "Started at this time (RFC 3339) or later.", read_time),
    Parameter("started_before", "Started before this time (RFC 3339).", read_time),
)
"""A job must match every filter, and one of the values of a repeated filter."""

JOB_SORT: Final = Parameter(
    "sort",
    "By first event, a minus means newest first; or largest, longest or last ended first.",
    one_of(JOB_SORTS),
    default="created_at",
)
JOB_COUNT: Final = Parameter(
    "count",
    "`exact`: also return the number of jobs on all pages; `status`: by status, of all of them.",
    one_of(("exact", "status")),
)
JOB_LISTING: Final[Sequence[Parameter]] = (
    *JOB_FILTERS,
    Parameter("query", "What the id begins with."),
    JOB_SORT,
    JOB_COUNT,
    Parameter("preview", "How many of the newest pictures of each job.", whole(1, 10)),
    PAGE_SIZE,
    CURSOR,
    MIN_POSITION,
)


def job_query(user_id: str, values: ParameterValues) -> JobQuery:
    """Return the query that parameters describe."""
    filters = {
        each.name: values[each.name] if each.repeats else [values[each.name]]
        for each in JOB_FILTERS
        if each.name in values
    }
    words = (values["sort"], values.get("query", ""), values.get("preview", 0))
    return JobQuery(user_id, filters, *words)


def jobs_per_page(values: ParameterValues) -> int:
    """Return the number of jobs of a page: with previews, at most 100."""
    size: int = values["page_size"]
    return min(size, MAX_PREVIEWED) if "preview" in values else size


async def counted_jobs(jobs: JobQueries, query: JobQuery, count: str | None) -> dict[str, Any]:
    """Return the members of a page that `count` asks for."""
    if count == "exact":
        return {"count": sum((await jobs.counts(query)).values())}
    if count == "status":
        others = {name: query.filters[name] for name in query.filters if name != "status"}
        return {"counts": await jobs.counts(query._replace(filters=others))}
    return {}


COMPARED_ATTEMPTS: Final = Parameter(
    "attempt",
    "The attempt of both jobs; sent twice, that of `a`, then that of `b`. By default their last.",
    ATTEMPT.parse,
    repeats=True,
)
COMPARED_STATUS: Final = Parameter(
    "status", "Only rows with this status.", one_of(STATUSES), repeats=True
)
COMPARISON: Final[Sequence[Parameter]] = (COMPARED_ATTEMPTS, COMPARED_STATUS, PAGE_SIZE, CURSOR)


def compared_attempts(numbers: Sequence[int]) -> tuple[int | None, int | None]:
    """Return the attempts of both jobs to compare, None for the last. Raises ParameterError."""
    if len(numbers) > 2:
        raise refuse("attempt", "was sent more than twice")
    return (numbers[0], numbers[-1]) if numbers else (None, None)
