"""What all the events that name one job add up to: its frame, and the assets that it made.

A replay: it needs nothing but the job's events, in order, and says what the tables say.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from asset_ledger.ledger.domain import job as jobs
from asset_ledger.ledger.domain.asset import Asset, AssetCreated, evolve
from asset_ledger.ledger.domain.event import Recorded, moment
from asset_ledger.ledger.domain.job import Job, JobStarted
from asset_ledger.ledger.ids import AssetId


@dataclass(slots=True)
class JobRecord:
    """One job, up to some position. `assets` are in the order of their creation, tombstones too."""

    user_id: str
    job_id: str
    job: Job | None = None
    workflow_id: str | None = None
    assets: dict[AssetId, Asset] = field(default_factory=dict)
    first: Recorded | None = None
    last: Recorded | None = None

    @property
    def first_position(self) -> int:
        return self.first.position if self.first else 0

    @property
    def last_position(self) -> int:
        return self.last.position if self.last else 0

    @property
    def span(self) -> tuple[datetime, datetime]:
        """When its first and its last event were recorded. Raises ValueError if it has none."""
        if self.first is None or self.last is None:
            raise ValueError(f"job {self.job_id} has no events")
        return moment(self.first.event), moment(self.last.event)

    @property
    def live(self) -> list[Asset]:
        """The assets that are no tombstones."""
        return [asset for asset in self.assets.values() if not asset.deleted]

    def add(self, events: Iterable[Recorded]) -> None:
        """Fold the next events in."""
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
        if isinstance(event, JobStarted):
            self.workflow_id = event.workflow_id or self.workflow_id
        elif isinstance(event, AssetCreated):
            self.workflow_id = self.workflow_id or event.workflow_id
