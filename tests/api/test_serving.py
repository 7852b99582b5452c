"""Start and stop: a stop finishes the requests in progress and frees all resources."""

import asyncio
import gc
import os
import signal
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from asset_ledger.api.backend import Backend, open_backend
from asset_ledger.api.serving import reserve, serve
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.log.event_log import Outcome
from asset_ledger.ledger.log.sqlite import SqliteLog
from tests.api.running import FORM, Api, form, serving

BODY = form(b"x" * 100_000, {"name": "slow", "job_id": "j"})
HEAD = (
    "POST /api/assets HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode()
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def started(backend: Backend) -> tuple["asyncio.Task[None]", str]:
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    sockets = reserve(Settings(data_dir=backend.settings.data_dir.with_name("none"), port=0))

    def ready(_: Backend) -> None:
        address.set_result(sockets.address)

    task = asyncio.create_task(serve(backend, sockets, ready))
    return task, await address


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_upload_in_progress_is_finished_before_the_server_stops(
    data_dir: Path, number: signal.Signals
) -> None:
    async with open_backend(Settings(data_dir=data_dir)) as backend:
        server, url = await started(backend)
        reader, writer = await connect(url)
        _, idle = await connect(url)
        writer.write(HEAD)
        assert await reader.readexactly(len(CONTINUE)) == CONTINUE
        writer.write(BODY[:50_000])

        os.kill(os.getpid(), number)
        await until_refused(url)
        writer.write(BODY[50_000:])
        answer = await reader.read()
        await server
        writer.close()
        idle.close()

        assert answer.startswith(b"HTTP/1.1 201 ")
        assert b"\r\nConnection: close\r\n" in answer
        asset = orjson.loads(answer.partition(b"\r\n\r\n")[2])
        assert (await backend.projections.assets.find("1", asset["id"])).version == 1


async def test_an_idle_server_stops_at_once(data_dir: Path) -> None:
    async with open_backend(Settings(data_dir=data_dir)) as backend:
        server, _ = await started(backend)
        os.kill(os.getpid(), signal.SIGTERM)

        await server


async def test_an_upload_is_recorded_when_its_client_disconnects(
    api: Api, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client disconnects after its content is stored and before its event is committed."""
    gate, append = threading.Event(), SqliteLog.append

    def delayed(log: SqliteLog, *arguments: Any) -> list[Outcome]:
        gate.wait(60)
        return append(log, *arguments)

    monkeypatch.setattr(SqliteLog, "append", delayed)
    _, writer = await connect(api.url)
    body = form(b"kept", {"name": "kept"})
    writer.write(
        HEAD.replace(b"Expect: 100-continue\r\n", b"").replace(
            str(len(BODY)).encode(), str(len(body)).encode()
        )
        + body
    )
    await until_packed(data_dir / "content" / "packs" / "00000001.pack")

    writer.close()
    await writer.wait_closed()
    gate.set()
    await api.server.drain(30)

    listed = (await api.get("/api/assets")).json["assets"]
    assert [asset["name"] for asset in listed] == ["kept"]


async def until_refused(url: str) -> None:
    with suppress(OSError):
        while True:
            (await connect(url))[1].close()


async def until_packed(pack: Path) -> None:
    """Wait until a content is packed, which is the last step before the commit of its event."""
    while not await asyncio.to_thread(size_of, pack):
        pass


def size_of(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def resources() -> tuple[set[str], int]:
    """Return the names of threads, except those of the event loop, and the number of open files."""
    threads = {thread.name for thread in threading.enumerate()}
    files = len([*Path("/proc/self/fd").iterdir()])
    return {name for name in threads if not name.startswith("asyncio_")}, files


async def test_a_closed_server_leaves_no_thread_file_or_memory(
    tmp_path: Path,
) -> None:
    async def used(folder: Path) -> weakref.ref[object]:
        async with serving(Settings(data_dir=folder)) as api:
            await api.created(b"x" * 100_000, job_id="j")
            await api.get(f"/api/assets/search?query=a&min_position={api.head()}")
            return weakref.ref(api.backend.projections)

    await used(tmp_path / "first")  # so that `before` counts what is made once per process
    before = resources()

    projections = [await used(tmp_path / f"{number}") for number in range(3)]

    gc.collect()
    assert resources() == before
    assert [projection() for projection in projections] == [None, None, None]
