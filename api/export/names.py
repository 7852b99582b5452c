"""Globally unique names of assets, jobs, nodes, workflows and users, for exports.

Promise: a name depends only on the log, the owner and the named thing, so that exports of two jobs
can be merged.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.job import Attempt, job_stream
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.ids import AssetId, parse_asset_id


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one owner's assets, jobs and so on, in the log with this id."""

    log_id: str
    user_id: str

    @property
    def namespace(self) -> str:
        """The prefix of all names."""
        return f"urn:asset-ledger:{self.log_id}:{_part(self.user_id)}:"

    def asset(self, asset_id: str) -> str:
        return f"asset.{asset_id}"

    def asset_id(self, namespace: str, name: str) -> AssetId | None:
        """Return the asset with these names of a data set in OpenLineage; None if it is another."""
        if f"{namespace}:" != self.namespace:
            return None
        try:
            return parse_asset_id(name.removeprefix("asset."))
        except ValueError:
            return None

    def job(self, job_id: str, attempt: int = 1) -> str:
        """Name an attempt of a job. Attempt 1 has the name of the job, for other jobs' exports."""
        return f"job.{_part(job_id)}" + ("" if attempt == 1 else f".attempt.{attempt}")

    def node(self, job_id: str, attempt: int, node_id: str | None) -> str:
        """Name a node's part of an attempt; without a node, the attempt itself."""
        job = self.job(job_id, attempt)
        return job if node_id is None else f"{job}.node.{_part(node_id)}"

    def workflow(self, workflow_id: str) -> str:
        return f"workflow.{_part(workflow_id)}"

    def user(self, user_id: str) -> str:
        return f"user.{_part(user_id)}"

    def run(self, job_id: str, attempt: int = 1, node_id: str | None = None) -> str:
        """Return the UUID of the run that is an attempt of a job, or of a node's run within it."""
        stream = job_stream(self.user_id, job_id) + ("" if attempt == 1 else f":{attempt}")
        log = uuid.uuid5(uuid.UUID(hex=self.log_id), stream)
        return str(log if node_id is None else uuid.uuid5(log, node_id))


class ExportedAttempt(NamedTuple):
    """One attempt of a job: its start and end, and by node what it made, tombstones too.

    `frame` is None if neither a start nor an end was recorded.
    """

    number: int
    frame: Attempt | None
    assets: dict[str | None, list[Asset]]


def attempts_of(record: JobRecord) -> list[ExportedAttempt]:
    """Return the attempts of a job that has at least one event."""
    found = {each.number: ExportedAttempt(each.number, each, {}) for each in _tracked(record)}
    for asset in record.assets.values():
        number = asset.attempt or 1
        attempt = found.setdefault(number, ExportedAttempt(number, None, {}))
        attempt.assets.setdefault(asset.node_id, []).append(asset)
    if not found:  # a job of nothing but runs of its nodes
        return [ExportedAttempt(record.attempt or 1, None, {})]
    return [found[number] for number in sorted(found)]


def _tracked(record: JobRecord) -> Sequence[Attempt]:
    return record.job.attempts if record.job else ()


def _part(name: str) -> str:
    """Escape a text as one part of a name, in which dots divide the parts."""
    return quote(name, safe="").replace(".", "%2E")
