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
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.log.event_log import Command, CommandKey

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = AssetId("0" * 31 + "1")
DIGEST = Digest("sha256:" + "a" * 64)


def short(value: object) -> str:
    """How a parametrized test names a case whose value may be very long."""
    return str(value)[:40]


def asset_id(number: int) -> AssetId:
    """A different id for each number."""
    return AssetId(f"{number:032x}")


def at(seconds: float) -> datetime:
    """A moment, so many seconds into the tests' first day."""
    return START + timedelta(seconds=seconds)


def _envelope(given: dict[str, Any], version: int) -> dict[str, Any]:
    common = {"originator_id": ID, "originator_version": version, "by": "1", "user_id": "1"}
    return {**common, **given}


def created(**given: Any) -> AssetCreated:
    """An asset of user 1, four bytes long, named cat.png."""
    content = {"size": 4, "digest": DIGEST, "content_type": "image/png"}
    return AssetCreated(**{"private": {"name": "cat.png"}, **content, **_envelope(given, 1)})


def described(**given: Any) -> AssetDescribed:
    """A new label at version 2."""
    return AssetDescribed(**_envelope(given, 2))


def replaced(**given: Any) -> AssetContentReplaced:
    """New bytes at version 2."""
    content = {"size": 5, "digest": Digest("sha256:" + "b" * 64), "content_type": "image/png"}
    return AssetContentReplaced(**{**content, **_envelope(given, 2)})


def deleted(**given: Any) -> AssetDeleted:
    """A tombstone at version 2."""
    return AssetDeleted(**_envelope(given, 2))


def restored(**given: Any) -> AssetRestored:
    """The asset is back, at version 3."""
    return AssetRestored(**_envelope(given, 3))


def started(**given: Any) -> JobStarted:
    """Job j of user 1 begins."""
    given.setdefault("job_id", "j")
    given.setdefault("originator_id", job_stream(given.get("user_id", "1"), given["job_id"]))
    return JobStarted(**_envelope(given, 1))


def finished(**given: Any) -> JobFinished:
    """Job j of user 1 is over, and all went well."""
    given.setdefault("job_id", "j")
    given.setdefault("originator_id", job_stream(given.get("user_id", "1"), given["job_id"]))
    return JobFinished(**{"status": "completed", **_envelope(given, 2)})


def recorded(*events: Event, first: int = 1) -> list[Recorded]:
    """Events as a log would have them: one a position, one a second."""
    for position, event in enumerate(events, first):
        if event.recorded_at is None:
            object.__setattr__(event, "recorded_at", at(position))
    return [Recorded(position, event) for position, event in enumerate(events, first)]


def folded(*events: Event) -> Asset:
    """The asset that these events of one stream add up to."""
    asset = fold(recorded(*events))
    assert asset is not None
    return asset


def new_asset(**given: Any) -> NewAsset:
    """The wish for a PNG named cat.png."""
    return NewAsset(**{"name": "cat.png", "content_type": "image/png", **given})


def origin(**given: Any) -> Origin:
    """User 1 asks, for himself."""
    return Origin(**{"by": "1", "user_id": "1", **given})


def command(
    *events: Event, key: CommandKey | None = None, guards: Mapping[str, int] | None = None
) -> Command:
    """A command of these events; guards by stream."""
    return Command(events, guards=guards or {}, key=key)


def command_key(**given: Any) -> CommandKey:
    """User 1's key k, for creating something."""
    words = {"user_id": "1", "key": "k", "operation": "create-asset", "fingerprint": "f"}
    return CommandKey(**{**words, **given})
