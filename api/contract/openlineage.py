"""OpenLineage events as requests: their models, and the reports that they become.

A run is the job whose id is the run's, in the workflow `<namespace>/<name>` of its OpenLineage job.
Events of a ledger have the facet `OWN`, which names job, attempt and node as they are there, so
that an export that comes back changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar, cast
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, ValidationError
from pydantic.alias_generators import to_camel

from asset_ledger.api.contract.fields import refusal, refuse_fields
from asset_ledger.api.contract.shapes import AnswerModel
from asset_ledger.ledger.domain.checks import MAX_ERROR, MAX_ID, MAX_NAME, check_text
from asset_ledger.ledger.domain.event import parse_time
from asset_ledger.ledger.domain.job import ENDINGS, Ending, JobStatus
from asset_ledger.ledger.domain.lineage import Dataset, RunReport
from asset_ledger.ledger.errors import MalformedBodyError, TooLargeError
from asset_ledger.ledger.ids import AssetId

T = TypeVar("T", bound=BaseModel)

OWN: Final = "assetLedger_job"
"""The run facet in which a ledger names its job, attempt and node."""

MAX_EVENTS: Final = 256
MAX_INPUTS: Final = 500
"""An event of an asset holds their ids."""
MAX_OUTPUTS: Final = 1_000

MAX_BODY: Final = 2**20
"""Bytes of a request, also once it is unpacked."""

_ENDINGS: Final[Mapping[str | None, Ending]] = {
    "COMPLETE": "completed",
    "FAIL": "failed",
    "ABORT": "cancelled",
}


def _canonical_uuid(text: str) -> str:
    return str(UUID(text))


def _checked_time(text: str) -> str:
    try:
        parse_time(text)
    except OverflowError as error:
        raise ValueError("must be a time from year 1 to year 9999") from error
    return text


RunId = Annotated[str, AfterValidator(_canonical_uuid)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Facets = dict[str, Any]


class _Lenient(BaseModel):
    """The base class: other members are read by other programs."""

    model_config = ConfigDict(
        extra="allow", strict=True, alias_generator=to_camel, defer_build=True
    )


class RunIn(_Lenient):
    """A run, with its facets."""

    run_id: RunId
    facets: Facets | None = None


class JobIn(_Lenient):
    """What a run is a run of."""

    namespace: Name
    name: Name
    facets: Facets | None = None


class DatasetIn(_Lenient):
    """A data set that a run read or wrote."""

    namespace: Name
    name: Name
    facets: Facets | None = None
    input_facets: Facets | None = None
    output_facets: Facets | None = None


class ParentIn(_Lenient):
    """The facet `parent`: the run that started this one."""

    run: RunIn


class ErrorIn(_Lenient):
    """The facet `errorMessage`."""

    message: str
    stack_trace: str | None = None


class OwnIn(_Lenient):
    """The facet `OWN`. `status` is that of the attempt in the ledger of the sender."""

    job_id: Name
    attempt: Annotated[int, Field(ge=1, le=2**31)] = 1
    workflow_id: Name | None = None
    node_id: Name | None = None
    parent_job_id: Name | None = None
    status: JobStatus = "running"


class RunEventIn(_Lenient):
    """An OpenLineage run event. Other members than these, such as `producer`, are optional."""

    event_type: Literal["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"] | None = None
    event_time: Annotated[str, AfterValidator(_checked_time)]
    run: RunIn
    job: JobIn
    inputs: Annotated[list[DatasetIn], Field(max_length=MAX_INPUTS)] | None = None
    outputs: Annotated[list[DatasetIn], Field(max_length=MAX_OUTPUTS)] | None = None


class RunEventsIn(RootModel[RunEventIn | list[RunEventIn]]):
    """One run event, or at most 256 in an array."""


class RunEvents(RootModel[list[RunEventIn]]):
    """The run events of a job, in their order."""


class ReportedOut(AnswerModel):
    """The job of an event, and the status of its attempt afterwards."""

    job_id: str
    attempt: int
    status: JobStatus


class ReportsOut(AnswerModel):
    """The jobs of the events, in their order."""

    runs: list[ReportedOut]


@dataclass(frozen=True, slots=True)
class ReportReader:
    """Reads events. `asset_id` returns the asset that the names of a data set name here.

    `claims`: the caller may claim the times of events.
    """

    asset_id: Callable[[str, str], AssetId | None]
    claims: bool

    def reports(self, document: object) -> list[RunReport]:
        """Return the reports in a body. Raises FieldsError, MalformedBodyError, TooLargeError."""
        if isinstance(document, dict):
            return [self._report(document, "")]
        if not isinstance(document, list):
            raise MalformedBodyError("the body must be an OpenLineage event, or an array of them")
        if len(document) > MAX_EVENTS:
            raise TooLargeError(f"a request has at most {MAX_EVENTS} events: send several")
        return [self._report(event, f"{number}.") for number, event in enumerate(document)]

    def _report(self, sent: object, where: str) -> RunReport:
        event = _read(RunEventIn, sent, where)
        facets, run = event.run.facets or {}, f"{where}run.facets."
        parent = _facet(ParentIn, facets, "parent", run)
        error = _facet(ErrorIn, facets, "errorMessage", run)
        own = _facet(OwnIn, facets, OWN, run)
        report = RunReport(
            job_id=event.run.run_id,
            workflow_id=_workflow(event.job, where),
            parent_job_id=parent.run.run_id if parent else None,
            begins=event.event_type == "START",
            ending=_ENDINGS.get(event.event_type),
            error=_error(error) if error and event.event_type == "FAIL" else None,
            when=parse_time(event.event_time) if self.claims else None,
            parameters=_parameters(event),
            inputs=self._datasets(event.inputs, f"{where}inputs"),
            outputs=self._datasets(event.outputs, f"{where}outputs"),
        )
        return _as_own(report, own) if own else report

    def _datasets(self, sent: Sequence[DatasetIn] | None, where: str) -> list[Dataset]:
        return [self._dataset(each, f"{where}.{number}") for number, each in enumerate(sent or ())]

    def _dataset(self, sent: DatasetIn, where: str) -> Dataset:
        own = self.asset_id(sent.namespace, sent.name)
        own_facets = (sent.facets, sent.input_facets, sent.output_facets)
        facets = {name: value for each in own_facets for name, value in (each or {}).items()}
        dataset = Dataset(sent.namespace, sent.name, facets, own)
        check_text(f"{where}.name", dataset.asset_name, MAX_NAME)
        return dataset


def _as_own(report: RunReport, own: OwnIn) -> RunReport:
    """Return the report with what the ledger of the sender says of its job."""
    return RunReport(
        job_id=own.job_id,
        attempt=own.attempt,
        workflow_id=own.workflow_id,
        node_id=own.node_id,
        parent_job_id=own.parent_job_id,
        tracked=own.status != "untracked",
        begins=report.begins,
        ending=cast(Ending, own.status) if report.ending and own.status in ENDINGS else None,
        error=report.error,
        when=report.when,
        parameters=report.parameters,
        inputs=report.inputs,
        outputs=report.outputs,
    )


def _workflow(job: JobIn, where: str) -> str:
    name = f"{job.namespace}/{job.name}"
    check_text(f"{where}job.name", name, MAX_ID)
    return name


def _error(error: ErrorIn) -> str:
    text = "\n".join(filter(None, (error.message, error.stack_trace)))
    return text.replace("\0", "")[:MAX_ERROR]


def _parameters(event: RunEventIn) -> dict[str, Any]:
    return {
        **(event.job.facets or {}),
        **(event.run.facets or {}),
        "producer": (event.model_extra or {}).get("producer"),
        "namespace": event.job.namespace,
        "name": event.job.name,
    }


def _facet(model: type[T], facets: Facets, name: str, where: str) -> T | None:
    return _read(model, facets[name], f"{where}{name}.") if name in facets else None


def _read(model: type[T], sent: object, where: str) -> T:
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        errors = map(refusal, error.errors())
        placed = (((where + path).rstrip(".") or "body", message) for path, message in errors)
        raise refuse_fields(placed) from error
