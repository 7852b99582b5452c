"""Health checks and metrics of the server. These operations need no token."""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from asset_ledger.api.backend import Backend
from asset_ledger.api.contract.health import ReadyOut
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.http.connections import REASONS
from asset_ledger.api.http.metrics import (
    CONTENT_TYPE,
    Numbers,
    connection_metrics,
    exposition,
    server_metrics,
)
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.clock import ClockCheck
from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.errors import LogDamagedError, PoisonEventError
from asset_ledger.ledger.scrub.notes import Checked, time_of
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.descriptors import free as free_descriptors
from asset_ledger.ledger.storage.last_backup import last_backup
from asset_ledger.projections.serving import Projections

if TYPE_CHECKING:
    from asset_ledger.api.http.jwt_address import KeyAddress

MIN_DESCRIPTORS: Final = 32
"""Free file descriptors. With fewer, uploads and downloads have to wait for one."""

MIN_FREE_BYTES: Final = 64 * 1024 * 1024
"""Bytes of free disk space. With less, a group commit may not fit."""

MAX_SILENCE: Final = 5.0
"""Seconds without a sign of the committer, which gives one each second, that are ordinary."""

_FRESH: Final = {"Cache-Control": "no-store"}


@operation("GET", "/health", gives=["text/plain"])
async def health(_: Request) -> web.Response:
    """Return `OK`: the server answers requests."""
    return web.Response(text="OK", headers=_FRESH)


@operation("GET", "/livez", gives=["text/plain"])
async def livez(_: Request) -> web.Response:
    """Return `OK`: the server is alive. If it does not answer, restart it."""
    return web.Response(text="OK", headers=_FRESH)


@operation("GET", "/readyz", answers=ReadyOut, statuses=[200, 503])
async def readyz(request: Request) -> web.Response:
    """Return whether the committer, the disk and each projection work; 503 if one does not."""
    backend = request.backend
    head = backend.feed.head()
    parts = [
        _committer(backend.committer),
        *await asyncio.to_thread(
            lambda: (_disk(backend, request.counts.log_damage), _descriptors(free_descriptors()))
        ),
        _contents(backend.ledger.contents.damaged),
        _log(backend.scrub.damaged_log),
        *_scrub(backend),
        _clock(backend.committer.clock),
        *_projections(backend.projections, head),
    ]
    if request.clients.is_leaving:
        parts.append({"name": "server", "ok": False, "reason": "the server is stopping"})
    if request.key_address is not None:
        parts.append(_keys(request.key_address))
    ready = all(part["ok"] for part in parts if not part.get("optional"))
    body = orjson.dumps({"ready": ready, "parts": parts})
    headers = {"Content-Type": JSON, **_FRESH}
    return web.Response(body=body, status=200 if ready else 503, headers=headers)


@operation("GET", "/metrics", gives=["text/plain"])
async def metrics(request: Request) -> web.Response:
    """Return counts, times and sizes since the start, in the text format of Prometheus."""
    body = await request.scrapes.share(lambda: _exposition(request))
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE, **_FRESH})


async def _exposition(request: Request) -> bytes:
    """Read the numbers on the event loop, which changes them; a thread writes the text."""
    clients = request.clients
    keys = request.key_address
    extra = connection_metrics(
        len(clients.all), clients.unread_bytes, request.bodies.used, clients.closed, REASONS
    )
    disk = await asyncio.to_thread(_disk_numbers, request.backend)
    server = server_metrics(*disk, keys.age if keys is not None else None)
    numbers = Numbers(request.backend, request.counts)
    return await asyncio.to_thread(exposition, [*numbers.collect(), *extra, *server])


def _disk(backend: Backend, damage: LogDamagedError | None) -> dict[str, Any]:
    if problem := backend.log_file.problem:
        return {"name": "disk", "ok": False, "reason": problem, "free_bytes": 0}
    free = _free_bytes(backend)
    failure = backend.ledger.contents.failure or damage
    reason = str(failure) if failure else None
    if free < MIN_FREE_BYTES:
        reason = "the disk is almost full: free some space"
    return {"name": "disk", "ok": reason is None, "reason": reason, "free_bytes": free}


def _disk_numbers(backend: Backend) -> tuple[int, float | None]:
    """Return the free space, and the age of the last backup in seconds."""
    last = last_backup(DataFolder(backend.settings.data_dir).last_backup)
    return _free_bytes(backend), last.age if last is not None else None


def _free_bytes(backend: Backend) -> int:
    """Return the free space on the disk of the data folder; 0 if the folder is gone."""
    try:
        return shutil.disk_usage(backend.settings.data_dir).free
    except OSError:
        return 0


def _descriptors(free: int) -> dict[str, Any]:
    is_ok = free >= MIN_DESCRIPTORS
    reason = None if is_ok else "the server has too few file descriptors: wait, or raise ulimit -n"
    return {"name": "descriptors", "ok": is_ok, "reason": reason, "free": free}


def _committer(committer: Committer) -> dict[str, Any]:
    reason = None if committer.is_alive else "the committer crashed and is restarting: wait"
    if committer.failure is not None:
        reason = str(committer.failure)
    elif committer.silence > MAX_SILENCE:
        reason = f"the committer has been silent for {committer.silence:.0f} s: wait"
    taken = committer.slots.taken
    return {"name": "committer", "ok": reason is None, "reason": reason, "waiting": taken}


def _clock(clock: ClockCheck) -> dict[str, Any]:
    problem = clock.problem
    return {"name": "clock", "ok": problem is None, "reason": problem, "optional": True}


def _keys(keys: "KeyAddress") -> dict[str, Any]:
    """Report whether the keys of JWTs can be fetched. The server is ready while it has some."""
    part = {"name": "keys", "ok": keys.problem is None, "reason": keys.problem}
    return part | {"optional": True} if keys.keys() else part


def _contents(damaged: int) -> dict[str, Any]:
    """Report the contents that were found damaged. The server stays ready: it reads the others."""
    todo = "run asset-ledger scrub --from a backup, or upload these bytes again"
    reason = todo if damaged else None
    part = {"name": "contents", "ok": not damaged, "reason": reason, "damaged": damaged}
    return part | {"optional": True}


def _log(damaged: Sequence[Checked]) -> dict[str, Any]:
    """Report the damaged parts of the log. What does not need them still works."""
    named = ", ".join(f"{each.part.name}: {each.what}" for each in damaged[:3])
    reason = f"{named}. Run asset-ledger verify, then restore a backup" if damaged else None
    part = {"name": "log", "ok": not damaged, "reason": reason, "damaged": len(damaged)}
    return part | {"optional": True}


def _scrub(backend: Backend) -> Iterator[dict[str, Any]]:
    """Report when everything was read again at the latest, if this server scrubs."""
    if backend.settings.scrub_interval == "off" or not backend.engine.scrubs:
        return
    scrub = backend.scrub
    reason = "nothing is scrubbed at present: see the server's log" if scrub.is_failing else None
    part = {"name": "scrub", "ok": reason is None, "reason": reason, "optional": True}
    yield part | {"oldest_check": time_of(scrub.oldest_check)}


def _projections(projections: Projections, head: int) -> Iterator[dict[str, Any]]:
    damaged = projections.damaged
    for name, runner in projections.runners.items():
        part = _projection(name, _reason(runner.error or damaged.get(name)), runner.position, head)
        yield part | {"optional": True} if name in projections.others else part
    for name, reason in projections.broken.items():
        yield _projection(name, reason, 0, head) | {"optional": True}


def _projection(name: str, reason: str | None, position: int, head: int) -> dict[str, Any]:
    return {
        "name": f"projection {name}",
        "ok": reason is None,
        "reason": reason,
        "position": position,
        "lag": max(0, head - position),
    }


def _reason(error: Exception | None) -> str | None:
    """Return why a projection stopped. Quotes no event: this operation needs no token."""
    if isinstance(error, PoisonEventError):
        where = f"the event at position {error.position} cannot be read: {error.cause}"
        return f"{where}; see the server's log, then skip it or install a release that reads it"
    return str(error) if error is not None else None
