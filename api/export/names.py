"""What things of a ledger are called outside of it: names that no other ledger gives.

Promise: a name depends on the log, the owner and the thing alone, so that exports of two jobs can
be put together.
"""

import uuid
from dataclasses import dataclass
from urllib.parse import quote

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.job import job_stream
from asset_ledger.ledger.domain.job_record import JobRecord


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one owner's things in the log with this id."""

    log_id: str
    user_id: str

    @property
    def namespace(self) -> str:
        """The part that all of them begin with."""
        return f"urn:asset-ledger:{self.log_id}:{_part(self.user_id)}:"

    def asset(self, asset_id: str) -> str:
        return f"asset.{asset_id}"

    def job(self, job_id: str) -> str:
        return f"job.{_part(job_id)}"

    def node(self, job_id: str, node_id: str | None) -> str:
        """What a node did in a job; what no node did, the job did."""
        job = self.job(job_id)
        return job if node_id is None else f"{job}.node.{_part(node_id)}"

    def workflow(self, workflow_id: str) -> str:
        return f"workflow.{_part(workflow_id)}"

    def user(self, user_id: str) -> str:
        return f"user.{_part(user_id)}"

    def run(self, job_id: str, node_id: str | None = None) -> str:
        """A job's run, or a node's part of it, as a UUID."""
        stream = uuid.UUID(hex=job_stream(self.user_id, job_id))
        log = uuid.uuid5(uuid.UUID(hex=self.log_id), stream.hex)
        return str(log if node_id is None else uuid.uuid5(log, node_id))


def by_node(record: JobRecord) -> dict[str | None, list[Asset]]:
    """Every asset that a job made, tombstones too, by the node that made it."""
    nodes: dict[str | None, list[Asset]] = {}
    for asset in record.assets.values():
        nodes.setdefault(asset.node_id, []).append(asset)
    return nodes


def _part(name: str) -> str:
    """Any text as one part of a name: parts are divided by dots."""
    return quote(name, safe="").replace(".", "%2E")
