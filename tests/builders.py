"""Events, intents and commands for tests, each field with a default: name only what matters."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from asset_ledger.ledger.domain.asset import (
    Asset,
    AssetContentReplaced,
    AssetCreated,
    AssetDeleted,
    AssetDescribed,
    AssetRestored,
    fold,
)
from asset_ledger.ledger.domain.decisions import NewAsset
from asset_ledger.ledger.domain.event import Event, Origin, Recorded
from asset_ledger.ledger.domain.job import JobFinished, JobStarted, job_stream
from asset_ledger.ledger.domain.node import NodeFinished, NodeStarted, RunName
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.log.event_log import Command, CommandKey

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = AssetId("0" * 31 + "1")
DIGEST = Digest("sha256:" + "a" * 64)


def short(value: object) -> str:
    """Return the id of a parametrised case whose value may be very long."""
    return str(value)[:40]


def asset_id(number: int) -> AssetId:
    """Return a different id for each number."""
    return AssetId(f"{number:032x}")


def at(seconds: float) -> datetime:
    """Return the time this many seconds after START."""
    return START + timedelta(seconds=seconds)


def _envelope(given: dict[str, Any], version: int) -> dict[str, Any]:
    common = {"originator_id": ID, "originator_version": version, "by": "1", "user_id": "1"}
    return {**common, **given}


def created(**given: Any) -> AssetCreated:
    """Create an asset of user 1, four bytes long, named cat.png."""
    content = {"size": 4, "digest": DIGEST, "content_type": "image/png"}
    return AssetCreated(**{"private": {"name": "cat.png"}, **content, **_envelope(given, 1)})


def described(**given: Any) -> AssetDescribed:
    """Change the label, at version 2."""
    return AssetDescribed(**_envelope(given, 2))


def replaced(**given: Any) -> AssetContentReplaced:
    """Replace the content, at version 2."""
    content = {"size": 5, "digest": Digest("sha256:" + "b" * 64), "content_type": "image/png"}
    return AssetContentReplaced(**{**content, **_envelope(given, 2)})


def deleted(**given: Any) -> AssetDeleted:
    """Delete the asset, at version 2."""
    return AssetDeleted(**_envelope(given, 2))


def restored(**given: Any) -> AssetRestored:
    """Restore the asset, at version 3."""
    return AssetRestored(**_envelope(given, 3))


def started(**given: Any) -> JobStarted:
    """Start job j of user 1."""
    given.setdefault("job_id", "j")
    given.setdefault("originator_id", job_stream(given.get("user_id", "1"), given["job_id"]))
    return JobStarted(**_envelope(given, 1))


def finished(**given: Any) -> JobFinished:
    """Finish job j of user 1, completed."""
    given.setdefault("job_id", "j")
    given.setdefault("originator_id", job_stream(given.get("user_id", "1"), given["job_id"]))
    return JobFinished(**{"status": "completed", **_envelope(given, 2)})


def node_started(**given: Any) -> NodeStarted:
    """Start run 1 of node n in job j of user 1."""
    return NodeStarted(**_envelope(_run(given), 1))


def node_finished(**given: Any) -> NodeFinished:
    """Finish run 1 of node n in job j of user 1, completed."""
    return NodeFinished(**{"status": "completed", **_envelope(_run(given), 2)})


def _run(given: dict[str, Any]) -> dict[str, Any]:
    named = {"user_id": "1", "job_id": "j", "attempt": 1, "node_id": "n", "run": "1", **given}
    name = RunName(*(named[field] for field in RunName._fields))
    return {"originator_id": name.stream, **named}


def recorded(*events: Event, first: int = 1) -> list[Recorded]:
    """Give events consecutive positions, and times one second apart."""
    for position, event in enumerate(events, first):
        if event.recorded_at is None:
            object.__setattr__(event, "recorded_at", at(position))
    return [Recorded(position, event) for position, event in enumerate(events, first)]


def folded(*events: Event) -> Asset:
    """Fold the events of one asset's stream."""
    asset = fold(recorded(*events))
    assert asset is not None
    return asset


def new_asset(**given: Any) -> NewAsset:
    """Return the intent to create a PNG named cat.png."""
    return NewAsset(**{"name": "cat.png", "content_type": "image/png", **given})


def origin(**given: Any) -> Origin:
    """Return the origin of a request of user 1."""
    return Origin(**{"by": "1", "user_id": "1", **given})


def command(
    *events: Event, key: CommandKey | None = None, guards: Mapping[str, int] | None = None
) -> Command:
    """Return a command; `guards` are versions by stream."""
    return Command(events, guards=guards or {}, key=key)


def command_key(**given: Any) -> CommandKey:
    """Return the key k of user 1, for creating an asset."""
    fields = {"user_id": "1", "key": "k", "operation": "create-asset", "fingerprint": "f"}
    return CommandKey(**{**fields, **given})
