"""A job in the console: long ones, attempts, runs of nodes, late assets, the assets of a job."""

import asyncio
from typing import Any, Final

import aiohttp
import httpx
import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import PATIENCE, Server
from tests.web.filled import Filled, upload
from tests.web.test_previews import until_true
from tests.web.test_screens import click, opened, shown

pytestmark = [pytest.mark.slow, needs_browser]

LONG: Final = 5_300
"""More events than the browser proves, and than a page of the history has."""

PAST: Final = 300
"""A position with more assets before it than a page of the list has."""


async def record_long_job(url: str) -> None:
    """Record a job with many small assets of three nodes."""
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=64)) as session:

        async def record(n: int) -> None:
            asset = {"name": f"a{n}", "content_type": "text/plain", "node_id": f"n{n % 3}"}
            async with session.post("/api/assets", json={"job_id": "long", **asset}) as answer:
                assert answer.status == 201, await answer.text()

        await asyncio.gather(*(record(n) for n in range(LONG)))


async def test_a_long_job_is_replayed_to_its_last_event(server: Server, page: Page) -> None:
    await record_long_job(server.url)
    await opened(page, f"{server.url}/jobs/long", "long")

    await shown(page, ".read b", f"Event {LONG:,} of {LONG:,}")
    await shown(page, ".three", f"{LONG:,}")
    await click(page, "button[aria-label='One event back']")
    await shown(page, ".three", f"{LONG - 1:,}")
    await click(page, "button[aria-label='First event']")
    await shown(page, ".read b", f"Event 1 of {LONG:,}")
    assert (await shown(page, ".three div")).startswith("1assets")
    elements = await page.run("document.querySelectorAll('*').length")
    assert elements < 5_000  # one mark for each pixel of a lane, not for each event

    await opened(page, f"{server.url}/jobs/long?tab=assets&view=list&at={PAST}", "long")
    await shown(page, ".sub b", "200 assets or more")
    await page.press("ArrowDown")
    await page.press("End")  # the last place of a page that is not here yet
    past = {"as_of": PAST, "page_size": 1000}
    listed = httpx.get(f"{server.url}/api/jobs/long/assets", params=past).json()["assets"]
    await shown(page, ".sub b", f"{len(listed)} assets")


@pytest.fixture
def client(server: Server) -> Any:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        yield client


def run_node(client: httpx.Client, node: str, **end: Any) -> None:
    """Record a run of a node of the job "bake"."""
    run = {"node_id": node, "run": str(end.pop("run", 1))}
    client.post("/api/jobs/bake/nodes/start", json=run).raise_for_status()
    client.post("/api/jobs/bake/nodes/finish", json={**run, **end}).raise_for_status()


def record_attempts(client: httpx.Client) -> None:
    """Record a job that fails in its node "mesh", and a second attempt that completes."""
    labels = {"job_id": "bake", "node_id": "mesh"}
    client.post("/api/jobs/bake/start", json={}).raise_for_status()
    run_node(client, "load", status="completed", seconds=0.5)
    upload(client, b"one", "text/plain", {**labels, "name": "out.txt"})
    run_node(client, "mesh", status="failed", error="CUDA out of memory", seconds=12.5)
    failed = {"status": "failed", "error": "CUDA out of memory"}
    client.post("/api/jobs/bake/finish", json=failed).raise_for_status()
    upload(client, b"late", "text/plain", {**labels, "name": "late.txt", "attempt": 1})
    client.post("/api/jobs/bake/start", json={"attempt": 2}).raise_for_status()
    run_node(client, "mesh", run=2, status="completed", seconds=9)
    upload(client, b"two", "text/plain", {**labels, "name": "out.txt"})
    client.post("/api/jobs/bake/finish", json={"status": "completed"}).raise_for_status()


async def test_runs_of_nodes_are_in_their_lanes_as_the_api_lists_them(
    server: Server, client: httpx.Client, page: Page
) -> None:
    record_attempts(client)
    await opened(page, f"{server.url}/jobs/bake", "bake")

    for node in client.get("/api/jobs/bake/nodes").json()["nodes"]:
        lane = await shown(page, ".lane-label", node["node_id"])
        assert f"{node['runs']} run" in lane
        assert (f"{node['failed']} failed" in lane) == (node["failed"] > 0)
    titles = "[...document.querySelectorAll('.run')].map((each) => each.title)"
    runs = await page.once("document.querySelectorAll('.run').length === 3", titles)
    assert sorted(runs) == [
        "Run 1 completed after 500 ms",
        "Run 1 failed after 13 s: CUDA out of memory",
        "Run 2 completed after 9 s",
    ]


@pytest.mark.parametrize(
    ("path", "title", "time"),
    [("/jobs/oven", "oven", ".stats b"), ("/jobs", "Jobs", "tbody tr:first-child time")],
)
async def test_times_go_on_where_nothing_is_recorded(
    server: Server, client: httpx.Client, page: Page, path: str, title: str, time: str
) -> None:
    client.post(f"/api/jobs/{title}/start", json={}).raise_for_status()
    await opened(page, f"{server.url}{path}", title)

    await shown(page, time, "s")
    await until_true(page, f"/^\\d\\d s/.test(document.querySelector('{time}').textContent)")


async def test_one_attempt_is_chosen_and_shows_its_late_asset(
    server: Server, client: httpx.Client, page: Page
) -> None:
    record_attempts(client)
    await opened(page, f"{server.url}/jobs/bake", "bake")
    await click(page, "button[aria-label=Attempt]", "All 2 attempts")
    await click(page, "[role^=menuitem]", "Attempt 1")

    events = client.get("/api/jobs/bake/history", params={"attempt": 1}).json()["events"]
    await shown(page, ".read b", f"Event {len(events)} of {len(events)}")
    assert events[-1]["late"]
    await shown(page, ".this", "after the end of its attempt")
    await shown(page, ".stats", f"all {len(events)} proven")
    assert await page.run("location.search") == "?attempt=1"


async def test_two_attempts_of_one_job_are_compared(
    server: Server, client: httpx.Client, page: Page
) -> None:
    record_attempts(client)
    await opened(page, f"{server.url}/jobs/bake?tab=compare&with=bake", "bake")

    attempts = {"attempt": [2, 1]}
    answer = client.get("/api/jobs/bake/compare/bake", params=attempts).json()
    assert answer["counts"]["different"] == 1
    await shown(page, ".part", "out.txt")
    text = await shown(page, ".scroll > .sub", "different")
    assert f"{answer['counts']['only_b']} only there" in text


async def names_in_list(page: Page) -> list[str]:
    await shown(page, "[role=option] .c-name")
    rows = "[...document.querySelectorAll('[role=option] .c-name bdi')]"
    return list(await page.run(f"{rows}.map((each) => each.textContent)"))


async def test_the_assets_of_a_job_are_filtered_selected_and_opened_as_all_are(
    server: Server, filled: Filled, page: Page
) -> None:
    await opened(page, f"{server.url}/jobs/first?tab=assets&node_id=node-1", "first")
    total = filled.get("/api/jobs/first/assets", count="exact", node_id="node-1")["count"]
    await shown(page, ".sub b", f"{total} assets")
    await shown(page, ".find .chip", "node-1")
    await shown(page, "#asset-0 .name")

    await page.press("ArrowDown")
    await page.once("document.querySelector('#asset-0.at')", "1")
    await page.press("x")
    await shown(page, ".selection b", "1 selected")
    await page.press("Escape")
    await page.press(" ")
    await shown(page, ".app > .panel .seal", "proven")
    await page.press("Escape")
    await page.once("!document.querySelector('.panel')", "1")
    assert await page.run("location.pathname") == "/jobs/first"
    await click(page, ".find .chip button")
    total = filled.get("/api/jobs/first/assets", count="exact")["count"]
    await shown(page, ".sub b", f"{total} assets")


async def test_the_assets_of_a_job_are_those_at_the_playhead(
    server: Server, filled: Filled, page: Page
) -> None:
    at = filled.assets[6]["position"]
    past = {"as_of": at, "content_type": "image/"}
    wanted = filled.get("/api/jobs/first/assets", **past)["assets"]
    address = f"{server.url}/jobs/first?tab=assets&view=list&content_type=image/&at={at}"
    await opened(page, address, "first")

    await shown(page, ".part", f"As of position {at}")
    await shown(page, ".sub b", f"{len(wanted)} assets")
    assert await names_in_list(page) == [asset["name"] for asset in wanted]
    await click(page, ".part a")
    now = filled.get("/api/jobs/first/assets", count="exact", content_type="image/")["count"]
    await shown(page, ".sub b", f"{now} assets")
