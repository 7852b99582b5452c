"""Globally unique names of assets, jobs, nodes, workflows and users, for exports.

Promise: a name depends only on the log, the owner and the named thing, so that exports of two jobs
can be merged.
"""

import uuid
from dataclasses import dataclass
from urllib.parse import quote

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.job import job_stream
from asset_ledger.ledger.domain.job_record import JobRecord


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

    def job(self, job_id: str) -> str:
        return f"job.{_part(job_id)}"

    def node(self, job_id: str, node_id: str | None) -> str:
        """Name a node's part of a job; without a node, the job itself."""
        job = self.job(job_id)
        return job if node_id is None else f"{job}.node.{_part(node_id)}"

    def workflow(self, workflow_id: str) -> str:
        return f"workflow.{_part(workflow_id)}"

    def user(self, user_id: str) -> str:
        return f"user.{_part(user_id)}"

    def run(self, job_id: str, node_id: str | None = None) -> str:
        """Return the UUID of a job's run, or of a node's run within it."""
        stream = uuid.UUID(hex=job_stream(self.user_id, job_id))
        log = uuid.uuid5(uuid.UUID(hex=self.log_id), stream.hex)
        return str(log if node_id is None else uuid.uuid5(log, node_id))


def by_node(record: JobRecord) -> dict[str | None, list[Asset]]:
    """Group the assets that a job made, tombstones too, by the node that made them."""
    nodes: dict[str | None, list[Asset]] = {}
    for asset in record.assets.values():
        nodes.setdefault(asset.node_id, []).append(asset)
    return nodes


def _part(name: str) -> str:
    """Escape a text as one part of a name, in which dots divide the parts."""
    return quote(name, safe="").replace(".", "%2E")
