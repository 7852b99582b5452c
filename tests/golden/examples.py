"""An example of every event with all fields, whose stored bytes are in `events/` and never change.

`python -m tests.golden.examples` writes missing files and never rewrites one: an event whose
fields change needs a new `class_version`, an upcast, and files of its own.
"""

from pathlib import Path
from typing import Any

from asset_ledger.ledger.domain.asset import (
    AssetContentReplaced,
    AssetCreated,
    AssetDeleted,
    AssetDescribed,
    AssetRestored,
)
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.domain.job import JobFinished, JobStarted, job_stream
from asset_ledger.ledger.domain.ledger import (
    ContentCollected,
    DamageFound,
    DamageRepaired,
    KeyRotated,
    LedgerForked,
    LedgerOpened,
    ProjectionSkipped,
    TokenCreated,
    TokenRevoked,
)
from asset_ledger.ledger.domain.node import NodeFinished, NodeStarted, RunName
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.log.codec import Codec
from tests.builders import at
from tests.golden.shapes import keep

FOLDER = Path(__file__).parent / "events"

_ASSET = AssetId("0197a5b2c3d47e8f9a0b1c2d3e4f5a6b")
_LOG = "c0ffee00c0ffee00c0ffee00c0ffee00"
_DIGEST = Digest("sha256:" + "5e" * 32)


def _tagged(version: int, stream: str = _ASSET) -> dict[str, Any]:
    return {
        "originator_id": stream,
        "originator_version": version,
        "by": "2",
        "user_id": "1",
        "workflow_id": "workflow_789",
        "node_id": "node_123",
        "job_id": "job_456",
        "job_seq": version,
        "attempt": 2,
        "command": "c" * 64,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "recorded_at": at(version + 0.25),
    }


def _ledger_event(version: int) -> dict[str, Any]:
    return {
        "originator_id": _LOG,
        "originator_version": version,
        "by": "system",
        "recorded_at": at(version),
    }


_JOB = job_stream("1", "job_456")
_RUN = RunName("1", "job_456", 2, "node_123", "a").stream

EXAMPLES: tuple[Event, ...] = (
    LedgerOpened(
        **_ledger_event(1),
        log_id=_LOG,
        origin=f"asset-ledger/{_LOG}",
        public_key=f"asset-ledger/{_LOG}+00112233+AAAA",
        format=2,
        erasable=False,
    ),
    AssetCreated(
        **_tagged(1),
        private={
            "name": "猫🐈.png",
            "metadata": {"seed": 9007199254740993, "cfg": 7.5, "nested": {"b": None, "a": [True]}},
            "tags": ["b", "a"],
            "duration": 0.1,
        },
        size=4096,
        digest=_DIGEST,
        content_type="image/png",
        parent_id=AssetId("f" * 32),
        derived_from=(AssetId("1" * 32), AssetId("2" * 32)),
        made_at=at(-86400.5),
        late=True,
    ),
    AssetDescribed(
        **_tagged(2),
        private={"name": "dog.png", "metadata": None},
        parent_id=None,
        content_type="image/jpeg",
    ),
    AssetContentReplaced(**_tagged(3), size=8, digest=_DIGEST, content_type="image/jpeg"),
    AssetDeleted(**_tagged(4), reason="a mistake"),
    AssetRestored(**_tagged(5), reason="no mistake"),
    JobStarted(**_tagged(1, _JOB), parent_job_id="job_455", private={"parameters": {"steps": 20}}),
    JobFinished(**_tagged(2, _JOB), status="failed", events=7, private={"error": "out of memory"}),
    NodeStarted(**_tagged(1, _RUN), run="a", made_at=at(-3600)),
    NodeFinished(
        **_tagged(2, _RUN),
        run="a",
        status="failed",
        seconds=12.5,
        started_at=at(-3600),
        made_at=at(-1800),
        private={"error": "out of memory"},
    ),
    ProjectionSkipped(
        **_ledger_event(2), projection="assets", position=17, reason="made by a test"
    ),
    KeyRotated(
        **_ledger_event(3), old_key="old", new_key="new", old_signature="a", new_signature="b"
    ),
    TokenCreated(
        **_ledger_event(4),
        token_id="0" * 12,
        hash="5e" * 32,
        owner="alice",
        scopes=("read", "audit"),
        name="laptop",
        expires_at=at(86400.5),
    ),
    TokenRevoked(**_ledger_event(5), token_id="0" * 12),
    LedgerForked(**_ledger_event(6), original_events=7),
    ContentCollected(**_ledger_event(7), digests=(_DIGEST,), size=8, reason="deleted"),
    DamageFound(**_ledger_event(8), parts=(_DIGEST, "events 3"), cause="changed"),
    DamageRepaired(**_ledger_event(9), parts=(_DIGEST,)),
)


def golden_file(event: Event) -> Path:
    """Return the file of the stored bytes of this event, in the version of its class."""
    return FOLDER / f"{event.TOPIC}.v{event.class_version}.json"


MEANINGS: dict[str, Event] = {golden_file(example).name: example for example in EXAMPLES}
"""The event that each file decodes to. Add a line for a version that is no longer written."""


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for example in EXAMPLES:
        if not golden_file(example).exists():
            golden_file(example).write_bytes(Codec().encode(example).state)
    keep()
