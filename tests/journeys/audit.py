"""Check every promise on the files of a data folder, without any code of the product.

Tags, keys, job heads, leaves, contents and rows are derived from the stored bytes. A server may run
on the folder, as long as no client writes.
"""

import hashlib
import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

CHECKED: Final = ("id", "version", "seq", "position", "user_id", "workflow_id", "node_id", "job_id")
CHANGING: Final = ("parent_id", "name", "content_type", "size", "digest")
DERIVED: Final = (*CHECKED, "parent_id", "name", "content_type", "size", "digest", "deleted")


class StoredEvent(NamedTuple):
    """A row of stored_events."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The parsed JSON of `state`."""
        found: dict[str, Any] = json.loads(self.state)
        return found


def audit(data_dir: Path) -> list[StoredEvent]:
    """Check every promise in a folder, and return its events."""
    with reading(data_dir / "ledger.db") as db:
        events = events_of(db)
        check_order(events)
        check_leaves(db, events)
        check_tags(db, events)
        check_jobs(db, events)
        check_keys(db, events)
    check_contents(data_dir, events)
    check_tables(data_dir, events)
    return events


def events_in(data_dir: Path) -> list[StoredEvent]:
    """Return the stored events of a folder."""
    with reading(data_dir / "ledger.db") as db:
        return events_of(db)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file read-only; a server may have it open too."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        yield db
    finally:
        db.close()


def events_of(db: sqlite3.Connection, after: int = 0) -> list[StoredEvent]:
    """Return the events of a log after a position, in the order of their rowids."""
    rows = db.execute(
        "SELECT rowid, originator_id, originator_version, topic, state FROM stored_events"
        " WHERE rowid > ? ORDER BY rowid",
        (after,),
    )
    return [StoredEvent(*row) for row in rows]


def check_order(events: Sequence[StoredEvent]) -> None:
    """Check that positions have no gaps, versions count 1, 2, 3 ... and times never decrease."""
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    assert events[0].topic == "ledger.opened"
    streams: Counter[str] = Counter()
    for event in events:
        streams[event.stream] += 1
        assert event.version == streams[event.stream], event
    times = [event.fields["recorded_at"] for event in events]
    assert times == sorted(times)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", when) for when in times)


def check_leaves(db: sqlite3.Connection, events: Iterable[StoredEvent]) -> None:
    """Check the leaf hash of each event."""
    stored = db.execute("SELECT position, hash FROM event_leaves ORDER BY position").fetchall()
    assert stored == [(event.position, leaf_hash(event)) for event in events]


def leaf_hash(event: StoredEvent) -> bytes:
    """SHA-256 over 0x00, the prefix, and four parts, each after its length (4 bytes)."""
    hashed = hashlib.sha256(b"\x00asset-ledger/leaf/1\n")
    texts = (event.stream, str(event.version), event.topic)
    for part in (*(text.encode() for text in texts), event.state):
        hashed.update(len(part).to_bytes(4, "big") + part)
    return hashed.digest()


def check_tags(db: sqlite3.Connection, events: Iterable[StoredEvent]) -> None:
    """Check that the stored tags are those in the events."""
    stored = db.execute("SELECT user_id, kind, value, position FROM event_tags").fetchall()
    derived = [
        (event.fields["user_id"], kind, event.fields[f"{kind}_id"], event.position)
        for event in events
        for kind in ("workflow", "node", "job")
        if event.fields.get(f"{kind}_id") is not None
    ]
    assert sorted(stored) == sorted(derived)


def check_jobs(db: sqlite3.Connection, events: Iterable[StoredEvent]) -> None:
    """Check that the events of a job are numbered 1, 2, 3 ... up to its stored head."""
    numbers: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        if event.fields.get("job_id") is None:
            assert "job_seq" not in event.fields, event
        else:
            numbers[event.fields["user_id"], event.fields["job_id"]].append(event.fields["job_seq"])
    for job, seqs in numbers.items():
        assert seqs == list(range(1, len(seqs) + 1)), job
    stored = db.execute("SELECT user_id, job_id, seq FROM job_heads").fetchall()
    assert sorted(stored) == sorted((*job, seqs[-1]) for job, seqs in numbers.items())


def check_keys(db: sqlite3.Connection, events: Sequence[StoredEvent]) -> None:
    """Check that the stored keys hash to the `command` of exactly the events that have one."""
    hashes = {}
    for user_id, key, operation, fingerprint, first, last in db.execute(
        "SELECT user_id, key, operation, fingerprint, first_position, last_position"
        " FROM command_keys"
    ):
        for event in events[first - 1 : last]:
            assert event.fields["by"] == user_id
            assert event.position not in hashes
            hashes[event.position] = command_hash(key, operation, fingerprint)
    assert hashes == {e.position: e.fields["command"] for e in events if "command" in e.fields}


def command_hash(key: str, operation: str, fingerprint: str) -> str:
    """Return the hash of an Idempotency-Key that events store."""
    hashed = hashlib.sha256(b"asset-ledger/command/1\n")
    for part in (key.encode(), operation.encode(), fingerprint.encode()):
        hashed.update(len(part).to_bytes(4, "big") + part)
    return hashed.hexdigest()


def check_contents(data_dir: Path, events: Iterable[StoredEvent]) -> None:
    """Check that every content of an event exists, and that every content matches its digest.

    A content may be gone if it was collected after the last event that names it.
    """
    content = data_dir / "content"
    assert not list((content / "tmp").iterdir())
    sizes = dict(objects(content))
    for digest, size in packed(data_dir):
        assert digest not in sizes, "stored twice"
        sizes[digest] = size
    needed: dict[str, int] = {}
    for event in events:
        if event.topic == "content.collected":
            for digest in event.fields["digests"]:
                needed.pop(digest, None)
        elif event.fields.get("digest") is not None:
            needed[event.fields["digest"]] = event.fields["size"]
    assert needed.items() <= sizes.items(), needed.items() - sizes.items()


def packed(data_dir: Path) -> Iterator[tuple[str, int]]:
    """Yield digest and size of every packed content, and check its record at its place."""
    with reading(data_dir / "ledger.db") as db:
        rows = db.execute("SELECT digest, pack, offset, size FROM contents").fetchall()
    for digest, pack, offset, size in rows:
        with (data_dir / f"content/packs/{pack:08d}.pack").open("rb") as file:
            file.seek(offset)
            assert file.read(40) == b"ALC1" + size.to_bytes(4, "big") + digest
            assert hashlib.sha256(file.read(size)).digest() == digest
        yield f"sha256:{digest.hex()}", size


def objects(content: Path) -> Iterator[tuple[str, int]]:
    """Yield digest and size of every object, and check its name against its bytes."""
    for path in (content / "objects").rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                name = hashlib.file_digest(file, "sha256").hexdigest()
            assert path == content / "objects" / name[:2] / name[2:4] / name
            yield f"sha256:{name}", path.stat().st_size


def check_tables(data_dir: Path, events: Sequence[StoredEvent]) -> None:
    """Check the rows of the current tables against the events."""
    with reading(current_tables(data_dir)) as db:
        positions = db.execute("SELECT DISTINCT position FROM positions").fetchall()
        assert positions == [(len(events),)]
        columns = ", ".join(DERIVED[:-1])
        rows = db.execute(f"SELECT {columns}, deleted_at IS NOT NULL FROM assets ORDER BY seq")
        shown = [dict(zip(DERIVED, row, strict=True)) for row in rows]
    assert shown == list(folded(events).values())


def folded(events: Iterable[StoredEvent]) -> dict[str, dict[str, Any]]:
    """Return the state of each asset after all events, in the order of creation."""
    assets: dict[str, dict[str, Any]] = {}
    for event in events:
        match event.topic:
            case "asset.created":
                assets[event.stream] = {
                    **{name: event.fields.get(name) for name in DERIVED},
                    "id": event.stream,
                    "seq": event.position,
                    "name": event.fields["private"]["name"],
                    "deleted": 0,
                }
            case "asset.deleted" | "asset.restored":
                assets[event.stream]["deleted"] = int(event.topic == "asset.deleted")
            case "asset.described" | "asset.content_replaced":
                changed = {**event.fields, **event.fields.get("private", {})}
                names = changed.keys() & CHANGING
                assets[event.stream] |= {name: changed[name] for name in names}
            case _:
                continue
        assets[event.stream] |= {"version": event.version, "position": event.position}
    return assets


def current_tables(data_dir: Path) -> Path:
    """Return the file of the highest generation that is ready."""
    tables = [path for path in data_dir.glob("projections.g*.db") if path.name.count(".") == 2]
    ready = [path for path in tables if state_of(path) == "ready"]
    return max(ready, key=lambda path: int(path.name.split(".")[1].removeprefix("g")))


def state_of(path: Path) -> str | None:
    """Return the state of a generation, None if its file is not a database."""
    with reading(path) as db, suppress(sqlite3.DatabaseError):
        return str(db.execute("SELECT state FROM generation").fetchone()[0])
    return None


def tables_digest(path: Path) -> str:
    """Return the SHA-256 over the rows of all tables of a generation."""
    hashed = hashlib.sha256()
    usage = path.with_name(f"{path.stem}.usage.db")
    for file, table, key in (
        (path, "assets", "seq"),
        (path, "edges", "source, derived"),
        (path, "job_attempts", "user_id, job_id, attempt"),
        (path, "jobs", "user_id, job_id"),
        (path, "node_runs", "user_id, job_id, node_id, attempt, run"),
        (usage, "usage", "user_id, dimension, key"),
    ):
        hashed.update(table.encode() + b"\n")
        with reading(file) as db:
            rows = db.execute(f"SELECT * FROM {table} ORDER BY {key}")
            names = [column[0] for column in rows.description]
            for row in rows:
                fields = dict(zip(names, row, strict=True))
                fields.pop("json", None)
                text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                hashed.update(text.encode() + b"\n")
    return hashed.hexdigest()
