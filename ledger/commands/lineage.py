"""Record what other programs report about their runs: jobs, and data sets as assets without bytes.

Promise: a report that arrives again, or late, adds what is new in it and changes nothing else. Each
step can be repeated, so that a report of which a kill left a part is completed by its repetition.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.commands.imports import MOST, Import, Imports
from asset_ledger.ledger.commands.jobs import JobCommands, JobReceipt
from asset_ledger.ledger.commands.tables import TableQueries
from asset_ledger.ledger.domain.decisions import NewAsset
from asset_ledger.ledger.domain.job import Attempt, JobEnd, JobStart
from asset_ledger.ledger.domain.lineage import (
    DATASET,
    KEY,
    Dataset,
    RunReport,
    dataset_id,
    fitting,
    output_id,
)
from asset_ledger.ledger.errors import FieldError, JobStateError, UnknownAssetError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.reading.async_replay import AsyncReplay
from asset_ledger.ledger.reading.replay import Replay

MAX_SOURCES: Final = 700
"""Sources of an asset: with its metadata they have to fit into one event."""


class ReportReceipt(NamedTuple):
    """The job of a report and its status afterwards; `position` and `behind` as in `JobReceipt`."""

    job_id: str
    attempt: int
    status: str
    position: int
    behind: bool


class RunReports:
    """Records reports of runs."""

    def __init__(
        self, jobs: JobCommands, imports: Imports, replay: AsyncReplay, tables: TableQueries
    ) -> None:
        self._jobs, self._imports = jobs, imports
        self._replay, self._tables = replay, tables

    async def record(self, call: CallContext, report: RunReport) -> ReportReceipt:
        """Record one report. Raises FieldError, JobStateError, TooLargeError, UnavailableErrors.

        JobStateError: the attempt before it has not ended.
        """
        call = replace(call, key=None)  # one report is several commands, each of which can repeat
        attempt = await self._attempt(call, report)
        known = _known(attempt)
        sources, unknown = await self._sources(call, report)
        framed = report.tracked and report.node_id is None
        receipts = list[JobReceipt]()
        if framed and attempt is None:
            noted = {**report.parameters, **_noted(report, sources)}
            receipts.append(await self._start(call, report, noted))
        sources = [*dict.fromkeys([*sources, *known.inputs])][:MAX_SOURCES]
        outputs = [] if report.begins else [*report.outputs]
        outputs += known.outputs if report.ending == "completed" else ()
        position, behind = await self._assets(call, report, sources, unknown, outputs)
        if framed and report.ending is not None and not (attempt and attempt.ended):
            receipts.append(await self._finish(call, report))
        status = (await self._attempt(call, report) or Attempt(status="untracked")).status
        positions = [position, *(receipt.position for receipt in receipts)]
        behind = behind or any(receipt.behind for receipt in receipts)
        return ReportReceipt(report.job_id, report.attempt, status, max(positions), behind)

    async def _attempt(self, call: CallContext, report: RunReport) -> Attempt | None:
        job = await self._replay(Replay.job_state, call.user_id, report.job_id)
        return job.attempt(report.attempt) if job else None

    async def _start(
        self, call: CallContext, report: RunReport, parameters: Mapping[str, Any]
    ) -> JobReceipt:
        start = JobStart(
            workflow_id=report.workflow_id,
            parent_job_id=report.parent_job_id,
            parameters=fitting(parameters),
            attempt=report.attempt,
            made_at=report.when,
        )
        return await self._record(call, report, self._jobs.start(call, report.job_id, start, {}))

    async def _finish(self, call: CallContext, report: RunReport) -> JobReceipt:
        assert report.ending is not None
        end = JobEnd(
            status=report.ending, error=report.error, attempt=report.attempt, made_at=report.when
        )
        return await self._record(call, report, self._jobs.finish(call, report.job_id, end, {}))

    async def _record(self, call: CallContext, report: RunReport, recording: Any) -> JobReceipt:
        """Return the receipt of a start or an end; a concurrent report may have recorded it."""
        try:
            receipt: JobReceipt = await recording
        except JobStateError:
            if await self._attempt(call, report) is None:
                raise
            return JobReceipt(report.attempt, 0, replayed=False, behind=False)
        return receipt

    async def _sources(
        self, call: CallContext, report: RunReport
    ) -> tuple[list[AssetId], list[Import]]:
        """Return the assets that the inputs are, and those to create for unknown data sets."""
        sources, unknown = list[AssetId](), list[Import]()
        for dataset in report.inputs:
            found = await self._existing(call.user_id, dataset)
            if found is None:
                found = await self._tables.named(call.user_id, dataset.asset_name)
            if found is None:
                found = dataset_id(call.user_id, dataset)
                unknown.append(Import(found, call.user_id, _asset(dataset)))
            sources.append(found)
        return sources, unknown

    async def _assets(
        self,
        call: CallContext,
        report: RunReport,
        sources: Sequence[AssetId],
        unknown: Sequence[Import],
        outputs: Iterable[Dataset],
    ) -> tuple[int, bool]:
        """Record the assets that are new. Return the last position, and if the tables lack it."""
        items = {item.asset_id: item for item in unknown}
        for dataset in outputs:
            if await self._existing(call.user_id, dataset) is not None:
                continue
            asset_id = output_id(call.user_id, report, dataset)
            new = replace(
                _asset(dataset),
                workflow_id=report.workflow_id,
                node_id=report.node_id,
                job_id=report.job_id,
                attempt=report.attempt,
                derived_from=[source for source in sources if source != asset_id],
                made_at=report.when,
            )
            items[asset_id] = Import(asset_id, call.user_id, new)
        return await self._import(call, [*items.values()])

    async def _import(self, call: CallContext, items: Sequence[Import]) -> tuple[int, bool]:
        position, behind = await self._replay(Replay.head), False
        for first in range(0, len(items), MOST):
            by = call.actor or call.user_id
            receipt = await self._imports.record(by, items[first : first + MOST])
            for refused in (each for each in receipt.imported if each.outcome == "refused"):
                raise FieldError("outputs", f"cannot be recorded: {refused.reason}")
            position, behind = receipt.position or position, behind or receipt.behind
        return position, behind

    async def _existing(self, user_id: str, dataset: Dataset) -> AssetId | None:
        """Return the user's own asset that the names of a data set are those of."""
        if dataset.asset_id is None:
            return None
        try:
            return (await self._replay(Replay.asset, user_id, dataset.asset_id)).id
        except UnknownAssetError:
            return None


class _Known(NamedTuple):
    """The inputs and outputs that the start of an attempt named."""

    inputs: Sequence[AssetId] = ()
    outputs: Sequence[Dataset] = ()


def _noted(report: RunReport, sources: Sequence[AssetId]) -> dict[str, Any]:
    """Return what the start of an attempt keeps for its end, which may not repeat it."""
    noted = {"inputs": [*sources]} if sources else {}
    if report.begins and report.outputs:
        return {**noted, "outputs": [[each.namespace, each.name] for each in report.outputs]}
    return noted


def _known(attempt: Attempt | None) -> _Known:
    """Return what a start kept. Any client may have written these parameters: skip the rest."""
    parameters = attempt.parameters if attempt else None
    noted = parameters.get(KEY) if isinstance(parameters, Mapping) else None
    kept: Mapping[str, Any] = noted if isinstance(noted, Mapping) else {}
    outputs = [each for each in _listed(kept, "outputs") if _is_pair(each)]
    inputs = [AssetId(each) for each in _listed(kept, "inputs") if isinstance(each, str)]
    return _Known(inputs, [Dataset(*each) for each in outputs])


def _listed(kept: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = kept.get(name)
    return found if isinstance(found, list | tuple) else ()


def _is_pair(value: object) -> bool:
    of_texts = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    return of_texts and len(value) == 2  # type: ignore[arg-type]


def _asset(dataset: Dataset) -> NewAsset:
    name, metadata = dataset.asset_name, dataset.metadata
    return NewAsset(name=name, content_type=DATASET, metadata=metadata)
