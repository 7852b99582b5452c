"""The fold of all events that name one job: its start and end, its assets, its node runs.

It needs only the job's events, in order, and gives the same answers as the tables.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from asset_ledger.ledger.domain import job as jobs
from asset_ledger.ledger.domain import node as nodes
from asset_ledger.ledger.domain.asset import Asset, AssetCreated, evolve
from asset_ledger.ledger.domain.event import Recorded, moment
from asset_ledger.ledger.domain.job import Attempt, Job, JobStarted
from asset_ledger.ledger.domain.node import NodeEvent, NodeRun
from asset_ledger.ledger.ids import AssetId


@dataclass(slots=True)
class JobRecord:
    """One job up to a position: its start and end (`job`), and its assets, tombstones too.

    `runs` are the runs of its nodes, by stream. With an `attempt`, only events of that attempt are
    added.
    """

    user_id: str
    job_id: str
    attempt: int | None = None
    job: Job | None = None
    workflow_id: str | None = None
    assets: dict[AssetId, Asset] = field(default_factory=dict)
    runs: dict[str, NodeRun] = field(default_factory=dict)
    first: Recorded | None = None
    last: Recorded | None = None

    @property
    def last_attempt(self) -> Attempt | None:
        """Return the last attempt; None if no start and no end was recorded."""
        return self.job.last if self.job else None

    @property
    def first_position(self) -> int:
        return self.first.position if self.first else 0

    @property
    def last_position(self) -> int:
        return self.last.position if self.last else 0

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Return the times of the first and the last event. Raise ValueError if there is none."""
        if self.first is None or self.last is None:
            raise ValueError(f"job {self.job_id} has no events")
        return moment(self.first.event), moment(self.last.event)

    @property
    def live(self) -> list[Asset]:
        """Return the assets that are not tombstones."""
        return [asset for asset in self.assets.values() if not asset.deleted]

    def add(self, events: Iterable[Recorded]) -> None:
        """Add the next events."""
        for recorded in events:
            self._add(recorded)

    def _add(self, recorded: Recorded) -> None:
        event = recorded.event
        self.first, self.last = self.first or recorded, recorded
        self.job = jobs.evolve(self.job, recorded)
        stream = AssetId(event.originator_id)
        asset = evolve(self.assets.get(stream), recorded)
        if asset is not None:
            self.assets[stream] = asset
        run = nodes.evolve(self.runs.get(event.originator_id), recorded)
        if run is not None:
            self.runs[event.originator_id] = run
        if isinstance(event, JobStarted):
            self.workflow_id = event.workflow_id or self.workflow_id
        elif isinstance(event, AssetCreated | NodeEvent):
            self.workflow_id = self.workflow_id or event.workflow_id
