"""When a data folder was last backed up: a small file in it, for `doctor` and the metrics."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from asset_ledger.ledger.storage.files import write_durably


class LastBackup(NamedTuple):
    """When the last backup was made, where, and the events that it covers."""

    made_at: datetime
    target: str
    events: int

    @property
    def age(self) -> float:
        """Seconds since then."""
        return (datetime.now(UTC) - self.made_at).total_seconds()


def note_backup(path: Path, target: str, events: int) -> None:
    """Write that a backup was made now. Raises OSError."""
    made_at = datetime.now(UTC).isoformat()
    write_durably(path, orjson.dumps({"made_at": made_at, "target": target, "events": events}))


def last_backup(path: Path) -> LastBackup | None:
    """Return the last backup; None if there is none, or if the file is damaged."""
    try:
        found = orjson.loads(path.read_bytes())
        made_at = datetime.fromisoformat(found["made_at"]).astimezone(UTC)
        return LastBackup(made_at, str(found["target"]), int(found["events"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
