"""The checks of `asset-ledger doctor`: each says what it found, and what to do about it.

They record nothing and repair nothing. A server may run.
"""

import os
import socket
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, NamedTuple

from asset_ledger.api.contract.durations import read_duration
from asset_ledger.api.engine import engine_of
from asset_ledger.api.environment import misspelt
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.clock import ClockCheck
from asset_ledger.ledger.domain.ledger import TokenCreated
from asset_ledger.ledger.errors import LedgerError, SigningKeyError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.inspection import refusal_of_writes
from asset_ledger.ledger.log.key_rotation import check_key_file, keys_in_force
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.reader import SqlLogReader
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.scrub.notes import ScrubNotes
from asset_ledger.ledger.storage.data_folder import DataFolder, check_log
from asset_ledger.ledger.storage.descriptors import limit, raise_limit
from asset_ledger.ledger.storage.folder_lock import OTHERS, holder_of, refuse_if_held
from asset_ledger.ledger.storage.last_backup import last_backup

State = Literal["ok", "warning", "failed"]

OLDEST_SQLITE: Final = (3, 37, 0)
"""The first release with STRICT tables."""
MIN_FREE: Final = 64 << 20
LOW_FREE: Final = 1 << 30
SLOW_FSYNC: Final = 0.05
"""Seconds: with a slower disk, each group of writes waits noticeably."""
FEW_DESCRIPTORS: Final = 1_024
OLD_BACKUP: Final = 2 * 86_400.0
NETWORK: Final = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph")
"""File systems on which SQLite's WAL and the lock are not reliable."""


class Checkup(NamedTuple):
    """The outcome of one check. `todo`: what to do; empty if it is ok."""

    name: str
    state: State
    what: str
    todo: str = ""


def checks(settings: Settings, config: Path | None) -> Iterator[Checkup]:
    """Run every check. A check that cannot be made has failed."""
    for name, check in CHECKS.items():
        try:
            yield from check(settings, config)
        except (LedgerError, OSError, sqlite3.Error) as error:
            yield Checkup(name, "failed", str(error), "see above: the message says what to do")


def _versions(_: Settings, __: Path | None) -> Iterator[Checkup]:
    python = ".".join(map(str, sys.version_info[:3]))
    what = f"asset-ledger {version('asset-ledger')}, Python {python}"
    what += f", SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        yield Checkup("versions", "failed", what, "use a Python with SQLite 3.37 or newer")
    else:
        yield Checkup("versions", "ok", what)


def _settings(settings: Settings, config: Path | None) -> Iterator[Checkup]:
    for name, nearest in misspelt(os.environ):
        yield Checkup("settings", "warning", f"{name} is not a setting", f"did you mean {nearest}?")
    if config is None:
        yield Checkup("settings", "ok", "no settings file")
        return
    mode = stat.S_IMODE(config.stat().st_mode)
    if settings.jwt_key is not None and mode & OTHERS:
        what = f"{config} has a key, and the mode {mode:04o}"
        yield Checkup("settings", "warning", what, f"chmod 600 {config}")
    else:
        yield Checkup("settings", "ok", f"read {config}")


def _folder(settings: Settings, _: Path | None) -> Iterator[Checkup]:
    folder = settings.data_dir.absolute()
    if not folder.exists():
        todo = "asset-ledger serve makes it; or name another with --data-dir"
        yield Checkup("folder", "warning", f"{folder} does not exist", todo)
        return
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode):
        yield Checkup("folder", "failed", f"{folder} is a file", "name a folder with --data-dir")
    elif found.st_uid != os.geteuid() and os.geteuid() != 0:
        what = f"{folder} belongs to the account {found.st_uid}"
        yield Checkup("folder", "failed", what, "run this and the server as that account")
    elif mode & OTHERS:
        todo = f"the next start corrects it; or chmod 700 {folder}"
        yield Checkup("folder", "warning", f"{folder} has the mode {mode:04o}", todo)
    elif (kind := file_system(folder)) in NETWORK:
        what, todo = f"{folder} is on a network file system ({kind})", "move it to a local disk"
        yield Checkup("folder", "failed", what, todo)
    else:
        yield Checkup("folder", "ok", f"{folder}, on {kind}")


def _ledger(settings: Settings, _: Path | None) -> Iterator[Checkup]:
    files = DataFolder(settings.data_dir)
    if settings.database is not None:
        yield from _in_database(settings, settings.database)
        return
    check_log(files.root)
    if not files.log.exists():
        yield Checkup("ledger", "warning", "there is no ledger yet", "start asset-ledger serve")
        return
    with closing(SqliteLogReader(files.log)) as log:
        opened, head = read_identity(log, Codec()), log.head()
        what = f"log {opened.log_id}, {head.position:,} events"
        if (refusal := refusal_of_writes(files)) is not None:
            yield Checkup("ledger", "warning", what, str(refusal))
        else:
            yield Checkup("ledger", "ok", what)
        yield _key(log, files)
        yield _clock(head.recorded_at)
        yield from _tokens(settings, log, opened.log_id)


def _in_database(settings: Settings, database: str) -> Iterator[Checkup]:
    engine = engine_of(settings.data_dir, database)
    engine.check_exists()
    with closing(engine.reader()) as log:
        opened, head = read_identity(log, Codec()), log.head()
        what = f"log {opened.log_id}, {head.position:,} events in the {engine.location()}"
        yield Checkup("ledger", "ok", what)
        if settings.content_url is None:
            what = "large contents stay in the data folder of each server"
            yield Checkup("contents", "warning", what, "set content_url, if there are several")
        yield _clock(head.recorded_at)
        yield from _tokens(settings, log, opened.log_id)


def _tokens(settings: Settings, log: SqlLogReader, log_id: str) -> Iterator[Checkup]:
    created = log.stream(log_id, topics=[TokenCreated.TOPIC])
    if settings.auth == "tokens" and not created:
        yield Checkup("tokens", "warning", "no token exists", "asset-ledger token create")


def _key(log: SqliteLogReader, files: DataFolder) -> Checkup:
    in_force = keys_in_force(log, Codec())[-1].key
    try:
        check_key_file(files.key, in_force)
    except SigningKeyError as error:
        return Checkup("key", "failed", str(error), "restore checkpoint.key from your backup")
    mode = stat.S_IMODE(files.key.stat().st_mode)
    if mode & OTHERS:
        return Checkup("key", "failed", f"its mode is {mode:04o}", f"chmod 600 {files.key}")
    return Checkup("key", "ok", in_force)


def _clock(last: datetime | None) -> Checkup:
    clock = ClockCheck()
    clock.note(last)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if clock.problem is not None:
        return Checkup("clock", "failed", now, clock.problem)
    return Checkup("clock", "ok", now)


def _disk(settings: Settings, _: Path | None) -> Iterator[Checkup]:
    folder = next(
        p
        for p in (settings.data_dir.absolute(), *settings.data_dir.absolute().parents)
        if p.exists()
    )
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    what = f"{free:,} bytes free"
    if free < LOW_FREE:
        state: State = "failed" if free < MIN_FREE else "warning"
        yield Checkup("disk", state, what, "free space: asset-ledger gc, or a larger disk")
        return
    if folder != settings.data_dir.absolute():
        yield Checkup("disk", "ok", what)
        return
    seconds = _fsync(folder)
    what += f", fsync takes {seconds * 1000:.1f} ms"
    if seconds > SLOW_FSYNC:
        yield Checkup("disk", "warning", what, "each write waits for it: use a faster disk")
    else:
        yield Checkup("disk", "ok", what)


def _fsync(folder: Path) -> float:
    """Return the seconds of the fastest of three fsyncs of a file without a name."""
    took = list[float]()
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(3):
            file.write(b"x" * 4_096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return min(took)


def _port(settings: Settings, _: Path | None) -> Iterator[Checkup]:
    where = f"{settings.host}, port {settings.port}"
    try:
        refuse_if_held(settings.data_dir)
    except LedgerError as error:
        holder = holder_of(settings.data_dir)
        if holder is not None and holder.address is not None:
            what = f"process {holder.pid} serves the folder at {holder.address}"
            yield Checkup("port", "ok", what)
        else:
            yield Checkup("port", "warning", str(error), "wait until it ends")
        return
    try:
        for family, kind, _proto, _name, address in socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind) as bound:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind(address)
    except OSError as error:
        what = f"{where}: {error.strerror or error}"
        yield Checkup("port", "failed", what, "choose another with --host and --port")
    else:
        yield Checkup("port", "ok", f"{where} is free")


def _descriptors(_: Settings, __: Path | None) -> Iterator[Checkup]:
    raise_limit()
    if limit() < FEW_DESCRIPTORS:
        todo = "raise ulimit -n: each connection needs two"
        yield Checkup("descriptors", "warning", f"{limit():,} file descriptors", todo)
    else:
        yield Checkup("descriptors", "ok", f"{limit():,} file descriptors")


def _backups(settings: Settings, _: Path | None) -> Iterator[Checkup]:
    files = DataFolder(settings.data_dir)
    last = last_backup(files.last_backup)
    todo = "asset-ledger backup create DEST, every night"
    if not files.log.exists():
        return
    if last is None:
        yield Checkup("backup", "warning", "no backup was made", todo)
        return
    what = f"{last.events:,} events in {last.target}, {last.age / 3_600:,.1f} hours ago"
    yield Checkup(
        "backup",
        "warning" if last.age > OLD_BACKUP else "ok",
        what,
        todo if last.age > OLD_BACKUP else "",
    )


def _scrub(settings: Settings, _: Path | None) -> Iterator[Checkup]:
    files = DataFolder(settings.data_dir)
    if not files.scrub.exists():
        return
    interval = settings.scrub_interval
    seconds = read_duration("30d" if interval == "off" else interval).total_seconds()
    with closing(ScrubNotes(files.scrub, files.log, seconds)) as notes:
        damaged, late = notes.damaged(), notes.lateness()
    if damaged:
        what = f"{len(damaged):,} damaged: {damaged[0].part.name}"
        yield Checkup("scrub", "failed", what, "asset-ledger scrub --from a backup")
    elif late > seconds:
        todo = "run asset-ledger scrub, or the server for longer"
        yield Checkup("scrub", "warning", f"{late / 86_400:,.1f} days late", todo)
    else:
        yield Checkup("scrub", "ok", "nothing is damaged")


def file_system(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system of a folder; `unknown` if the system does not say."""
    best, kind = -1, "unknown"
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return kind
    resolved = folder.resolve()
    for line in lines:
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4].encode().decode("unicode_escape"))
        if resolved.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split()[0]
    return kind


CHECKS: Final[Mapping[str, Callable[[Settings, Path | None], Iterator[Checkup]]]] = {
    "versions": _versions,
    "settings": _settings,
    "folder": _folder,
    "disk": _disk,
    "descriptors": _descriptors,
    "port": _port,
    "ledger": _ledger,
    "backup": _backups,
    "scrub": _scrub,
}
