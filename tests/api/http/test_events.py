"""The log as it grows, through HTTP: events after a position, and streams that miss nothing."""

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
from asset_ledger.ledger.reading import event_filter as heard
from asset_ledger.ledger.reading import subscriptions as tail
from tests.api.running import Api, serving


async def told(api: Api, query: str = "") -> list[int]:
    answer = await api.get(f"/api/events{query}")
    assert answer.status == 200, answer.body
    return [event["position"] for event in answer.json["events"]]


async def record(api: Api) -> list[Any]:
    """Events 2 to 6: two of job j (one by node n), a job's start, a free one, a deletion."""
    first = await api.created(job_id="j", node_id="n", workflow_id="w")
    second = await api.created(job_id="j")
    await api.call("POST", "/api/jobs/j/start")
    free = await api.created()
    await api.call("DELETE", f"/api/assets/{first['id']}")
    return [first, second, free]


async def test_events_are_the_callers_events_in_order(api: Api) -> None:
    await record(api)

    answer = await api.get("/api/events")

    assert [event["position"] for event in answer.json["events"]] == [2, 3, 4, 5, 6]
    assert answer.json["events"][0] == (await api.get("/api/jobs/j/history")).json["events"][0]
    assert answer.json["next"] == 6
    assert answer.headers["Ledger-Position"] == "6"


async def test_everyones_events_are_those_of_the_log(api: Api) -> None:
    await record(api)

    assert await told(api, "?all=true") == [1, 2, 3, 4, 5, 6]
    assert await told(api, "?all=true&topic=ledger.opened") == [1]


async def test_filters_narrow_the_events_together(api: Api) -> None:
    first, _, free = await record(api)

    assert await told(api, "?job_id=j") == [2, 3, 4, 6]
    assert await told(api, "?job_id=j&node_id=n") == [2, 6]
    assert await told(api, "?node_id=n&topic=asset.deleted") == [6]
    assert await told(api, "?workflow_id=w&all=true") == [2, 6]
    assert await told(api, "?topic=job.started&topic=asset.deleted") == [4, 6]
    assert await told(api, f"?asset_id={first['id']}") == [2, 6]
    assert await told(api, f"?asset_id={free['id']}&job_id=j") == []


async def test_next_leads_through_everything_once(api: Api) -> None:
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


async def test_a_request_that_looked_in_vain_says_where_to_go_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heard, "PAGE", 2)
    monkeypatch.setattr(heard, "WALK", 4)
    await record(api)

    first = (await api.get("/api/events?topic=asset.deleted")).json
    second = (await api.get(f"/api/events?topic=asset.deleted&after={first['next']}")).json

    assert (first["events"], first["next"]) == ([], 4)
    assert [event["position"] for event in second["events"]] == [6]


@pytest.mark.parametrize(
    "query",
    ["?after=x", "?after=-1", "?limit=0", "?topic=asset", "?asset_id=x", "?job=j", "?all=yes"],
)
@pytest.mark.parametrize("path", ["/api/events", "/api/events/stream"])
async def test_a_query_that_cannot_be_is_refused(api: Api, path: str, query: str) -> None:
    answer = await api.get(path + query)

    assert (answer.status, answer.slug) == (400, "bad-parameter")


@dataclass
class EventBatch:
    """One event of a stream, or a comment."""

    id: str = ""
    event: str = ""
    data: Any = None
    comment: str = ""


@asynccontextmanager
async def stream(
    api: Api, query: str = "", **headers: str
) -> AsyncIterator[AsyncIterator[EventBatch]]:
    """A stream's blocks, after the one that says where it begins."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.session.get(f"{api.url}/api/events/stream{query}", headers=names) as response:
        assert response.status == 200, await response.read()
        assert response.headers["Content-Type"] == "text/event-stream"
        blocks = _blocks(response.content)
        assert (await anext(blocks)).data is None
        yield blocks


async def _blocks(lines: aiohttp.StreamReader) -> AsyncIterator[EventBatch]:
    block = EventBatch()
    async for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "data":
            block.data = orjson.loads(value)
        elif name in ("id", "event"):
            setattr(block, name, value)
        elif line.startswith(b":"):
            block.comment = value
        elif line == b"\n":
            yield block
            block = EventBatch()


async def take(blocks: AsyncIterator[EventBatch], count: int) -> list[EventBatch]:
    async with asyncio.timeout(30):  # a hang fails; nothing here is a matter of speed
        return [await anext(blocks) for _ in range(count)]


async def test_a_stream_tells_what_is_recorded_from_now_on(api: Api) -> None:
    await api.created(name="before")

    async with stream(api) as blocks:
        asset = await api.created(name="after")
        (heard,) = await take(blocks, 1)

    assert (heard.id, heard.event) == ("3", "asset.created")
    assert heard.data == (await api.get("/api/events?after=2")).json["events"][0]
    assert heard.data["asset_id"] == asset["id"]


async def test_a_stream_begins_where_it_is_told_to(api: Api) -> None:
    await record(api)

    async with stream(api, "?after=0&job_id=j") as blocks:
        before = await take(blocks, 4)
        await api.created(job_id="j")
        (after,) = await take(blocks, 1)

    assert [heard.id for heard in (*before, after)] == ["2", "3", "4", "6", "7"]


async def test_who_comes_back_says_what_he_has_seen(api: Api) -> None:
    await record(api)

    async with stream(api, "?after=0", Last_Event_ID="4") as blocks:
        heard = await take(blocks, 2)

    assert [each.id for each in heard] == ["5", "6"]


async def test_a_stream_goes_from_the_log_to_what_is_new(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "KEPT", 3)
    monkeypatch.setattr(tail, "PAGE", 2)
    async with stream(api, "?all=true&after=0") as early:
        for _ in range(9):
            await api.created()
        async with stream(api, "?all=true&after=0") as late:
            for _ in range(9):
                await api.created()
            expected = [str(position) for position in range(1, 20)]
            assert [heard.id for heard in await take(late, 19)] == expected
            assert [heard.id for heard in await take(early, 19)] == expected


async def test_a_last_event_id_that_is_none_is_refused(api: Api) -> None:
    answer = await api.get("/api/events/stream", Last_Event_ID="x")

    assert (answer.status, answer.slug) == (400, "bad-parameter")


async def test_silence_is_broken_by_a_comment(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)

    async with stream(api, "?topic=job.finished") as blocks:
        comments = await take(blocks, 1)
        await api.created()  # not wanted here: the stream stays silent
        comments += await take(blocks, 2)
        await api.call("POST", "/api/jobs/j/finish", json={"status": "completed"})
        async with asyncio.timeout(30):
            heard = await anext(block async for block in blocks if block.data)

    assert [(each.id, each.comment) for each in comments] == [("", "still here")] * 3
    assert heard.id == "3"


async def test_a_stop_ends_every_stream(api: Api) -> None:
    async with stream(api) as one, stream(api, "?after=0") as other:
        await api.server.drain(30)

        async with asyncio.timeout(30):
            assert [block async for block in one] == [block async for block in other] == []


async def test_the_head_of_a_stream_has_no_stream(api: Api) -> None:
    answer = await api.call("HEAD", "/api/events/stream")

    assert (answer.status, answer.body) == (200, b"")


async def test_who_takes_nothing_is_let_go_and_can_come_back(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        hasty = web.ServerRunner(Server(api.backend, body_timeout=0.05))
        await hasty.setup()
        await web.TCPSite(hasty, "127.0.0.1", 0).start()
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        narrow.connect(hasty.addresses[0][:2])
        reader, writer = await asyncio.open_connection(sock=narrow, limit=1)
        writer.write(b"GET /api/events/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(200):
            await api.created(metadata={"padding": "x" * 30_000})

        text = await to_its_end(reader)
        last = text.rpartition("id: ")[2].partition("\n")[0] if "id: " in text else "0"
        async with stream(api, Last_Event_ID="1") as blocks:
            heard = await take(blocks, 200)

        writer.close()
        await hasty.cleanup()
    assert int(last) < 201
    assert [each.id for each in heard] == [str(position) for position in range(2, 202)]


async def to_its_end(reader: asyncio.StreamReader) -> str:
    """What arrived before the connection was reset."""
    pieces = []
    try:
        while piece := await reader.read(65_536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces).decode(errors="replace")
