"""The event feed through HTTP: lists after a position, and streams without gaps."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from asset_ledger.api.http import events
from asset_ledger.api.http.app import Server
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.reading import event_filter, subscriptions
from tests.api.running import Api, serving


async def positions(api: Api, query: str = "") -> list[int]:
    answer = await api.get(f"/api/events{query}")
    assert answer.status == 200, answer.body
    return [event["position"] for event in answer.json["events"]]


async def record(api: Api) -> list[Any]:
    """Record events 2 to 6: two assets of job j (the first by node n), the start of job j, an
    asset without a job, and the deletion of the first asset. Return the assets."""
    first = await api.created(job_id="j", node_id="n", workflow_id="w")
    second = await api.created(job_id="j")
    await api.call("POST", "/api/jobs/j/start")
    free = await api.created()
    await api.call("DELETE", f"/api/assets/{first['id']}")
    return [first, second, free]


async def test_events_of_the_caller_are_listed_in_order(api: Api) -> None:
    await record(api)

    answer = await api.get("/api/events")

    assert [event["position"] for event in answer.json["events"]] == [2, 3, 4, 5, 6]
    assert answer.json["events"][0] == (await api.get("/api/jobs/j/history")).json["events"][0]
    assert answer.json["next"] == 6
    assert answer.headers["Ledger-Position"] == "6"


async def test_all_events_of_the_log_are_listed_with_the_all_parameter(api: Api) -> None:
    await record(api)

    assert await positions(api, "?all=true") == [1, 2, 3, 4, 5, 6]
    assert await positions(api, "?all=true&topic=ledger.opened") == [1]


async def test_filters_of_events_are_combined_with_and(api: Api) -> None:
    first, _, free = await record(api)

    assert await positions(api, "?job_id=j") == [2, 3, 4, 6]
    assert await positions(api, "?job_id=j&node_id=n") == [2, 6]
    assert await positions(api, "?node_id=n&topic=asset.deleted") == [6]
    assert await positions(api, "?workflow_id=w&all=true") == [2, 6]
    assert await positions(api, "?topic=job.started&topic=asset.deleted") == [4, 6]
    assert await positions(api, f"?asset_id={first['id']}") == [2, 6]
    assert await positions(api, f"?asset_id={free['id']}&job_id=j") == []


async def test_pages_by_next_position_list_every_event_once(api: Api) -> None:
    await record(api)

    seen, after = [], 0
    while True:
        answer = (await api.get(f"/api/events?after={after}&limit=2&job_id=j")).json
        seen += [event["position"] for event in answer["events"]]
        if not answer["events"]:
            break
        after = answer["next"]

    assert seen == [2, 3, 4, 6]
    assert (await api.get("/api/events?after=99")).json == {"events": [], "next": 99}


async def test_events_are_listed_newest_first(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_filter, "PAGE", 2)
    monkeypatch.setattr(event_filter, "WALK", 3)
    monkeypatch.setattr(event_filter, "_BACK", 1)
    first, _, free = await record(api)

    async def pages(query: str, limit: int = 2) -> list[int]:
        seen, before = [], 10**18
        while True:
            path = f"/api/events?order=desc&limit={limit}&before={before}{query}"
            answer = (await api.get(path)).json
            seen += [event["position"] for event in answer["events"]]
            if answer["next"] == before:
                return seen
            before = answer["next"]

    for limit in (1, 2, 100):
        assert await pages("", limit) == [6, 5, 4, 3, 2]
        assert await pages("&all=true", limit) == [6, 5, 4, 3, 2, 1]
        assert await pages("&job_id=j", limit) == [6, 4, 3, 2]
        assert await pages("&topic=asset.created&after=2", limit) == [5, 3]
        assert await pages(f"&asset_id={first['id']}", limit) == [6, 2]
        assert await pages(f"&asset_id={free['id']}&after=5", limit) == []
    assert await positions(api, "?before=4") == [2, 3]
    assert await positions(api, "?before=1&order=desc") == []
    assert await positions(api, "?order=desc&limit=1") == [6]


async def test_the_next_position_advances_when_no_scanned_event_matches(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_filter, "PAGE", 2)
    monkeypatch.setattr(event_filter, "WALK", 4)
    await record(api)

    first = (await api.get("/api/events?topic=asset.deleted")).json
    second = (await api.get(f"/api/events?topic=asset.deleted&after={first['next']}")).json

    assert (first["events"], first["next"]) == ([], 4)
    assert [event["position"] for event in second["events"]] == [6]


@pytest.mark.parametrize(
    "query",
    [
        "?after=x",
        "?after=-1",
        "?before=0",
        "?order=newest",
        "?limit=0",
        "?topic=asset",
        "?asset_id=x",
        "?job=j",
        "?all=yes",
    ],
)
@pytest.mark.parametrize("path", ["/api/events", "/api/events/stream"])
async def test_an_invalid_query_is_refused(api: Api, path: str, query: str) -> None:
    answer = await api.get(path + query)

    assert (answer.status, answer.slug) == (400, "bad-parameter")


@dataclass
class Block:
    """One block of a server-sent event stream: an event, or a comment."""

    id: str = ""
    event: str = ""
    data: Any = None
    comment: str = ""


@asynccontextmanager
async def stream(api: Api, query: str = "", **headers: str) -> AsyncIterator[AsyncIterator[Block]]:
    """Open a stream and yield its blocks."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.session.get(f"{api.url}/api/events/stream{query}", headers=names) as response:
        assert response.status == 200, await response.read()
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Ledger-Position"].isdecimal()
        blocks = _blocks(response.content)
        yield blocks


async def _blocks(lines: aiohttp.StreamReader) -> AsyncIterator[Block]:
    block = Block()
    async for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "data":
            block.data = orjson.loads(value)
        elif name in ("id", "event"):
            setattr(block, name, value)
        elif line.startswith(b":"):
            yield Block(comment=value)
        elif line == b"\n":
            yield block
            block = Block()


async def take(blocks: AsyncIterator[Block], count: int) -> list[Block]:
    async with asyncio.timeout(30):  # fails a test that hangs; no test depends on speed
        return [await anext(blocks) for _ in range(count)]


async def test_a_stream_sends_events_recorded_after_its_start(api: Api) -> None:
    await api.created(name="before")

    async with stream(api) as blocks:
        asset = await api.created(name="after")
        (block,) = await take(blocks, 1)

    assert (block.id, block.event) == ("3", "asset.created")
    assert block.data == (await api.get("/api/events?after=2")).json["events"][0]
    assert block.data["asset_id"] == asset["id"]


async def test_a_stream_begins_after_the_requested_position(api: Api) -> None:
    await record(api)

    async with stream(api, "?after=0&job_id=j") as blocks:
        before = await take(blocks, 4)
        await api.created(job_id="j")
        (after,) = await take(blocks, 1)

    assert [block.id for block in (*before, after)] == ["2", "3", "4", "6", "7"]


async def test_a_stream_resumes_after_the_last_event_id(api: Api) -> None:
    await record(api)

    async with stream(api, "?after=0", Last_Event_ID="4") as blocks:
        received = await take(blocks, 2)

    assert [block.id for block in received] == ["5", "6"]


async def test_a_stream_passes_from_stored_to_new_events_without_a_gap(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "KEPT", 3)
    monkeypatch.setattr(subscriptions, "PAGE", 2)
    async with stream(api, "?all=true&after=0") as early:
        for _ in range(9):
            await api.created()
        async with stream(api, "?all=true&after=0") as late:
            for _ in range(9):
                await api.created()
            expected = [str(position) for position in range(1, 20)]
            assert [block.id for block in await take(late, 19)] == expected
            assert [block.id for block in await take(early, 19)] == expected


async def test_an_invalid_last_event_id_is_refused(api: Api) -> None:
    answer = await api.get("/api/events/stream", Last_Event_ID="x")

    assert (answer.status, answer.slug) == (400, "bad-parameter")


async def test_a_silent_stream_sends_heartbeat_comments(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)

    async with stream(api, "?topic=job.finished") as blocks:
        comments = await take(blocks, 1)
        await api.created()  # filtered out: the stream stays silent
        comments += await take(blocks, 2)
        await api.call("POST", "/api/jobs/j/finish", json={"status": "completed"})
        async with asyncio.timeout(30):
            finished = await anext(block async for block in blocks if block.data)

    assert [(block.id, block.comment) for block in comments] == [("", "still here")] * 3
    assert finished.id == "3"


async def test_a_server_stop_ends_every_stream(api: Api) -> None:
    async with stream(api) as first, stream(api, "?after=0") as second:
        await api.server.drain(30)

        async with asyncio.timeout(30):
            assert [block async for block in first] == [block async for block in second] == []


async def test_head_of_a_stream_has_no_body(api: Api) -> None:
    answer = await api.call("HEAD", "/api/events/stream")

    assert (answer.status, answer.body) == (200, b"")


async def test_a_slow_reader_is_disconnected_and_can_resume(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        impatient = web.ServerRunner(Server(api.backend, stall_timeout=0.05))
        await impatient.setup()
        await web.TCPSite(impatient, "127.0.0.1", 0).start()
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        narrow.connect(impatient.addresses[0][:2])
        reader, writer = await asyncio.open_connection(sock=narrow, limit=1)
        writer.write(b"GET /api/events/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(200):
            await api.created(metadata={"padding": "x" * 30_000})

        text = await read_until_reset(reader)
        last = text.rpartition("id: ")[2].partition("\n")[0] if "id: " in text else "0"
        async with stream(api, Last_Event_ID="1") as blocks:
            received = await take(blocks, 200)

        writer.close()
        await impatient.cleanup()
    assert int(last) < 201
    assert [block.id for block in received] == [str(position) for position in range(2, 202)]


async def read_until_reset(reader: asyncio.StreamReader) -> str:
    """Return the text that arrived before the connection was reset."""
    pieces = []
    try:
        while piece := await reader.read(65_536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces).decode(errors="replace")
