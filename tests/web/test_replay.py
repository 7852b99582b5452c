"""The replay of a job: play, step, drag, keys and address agree on one position."""

import json
import re

import pytest

from asset_ledger.api.http.console import site
from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server
from tests.web.filled import Filled, upload
from tests.web.test_previews import until_true
from tests.web.test_screens import click, opened, shown

pytestmark = [pytest.mark.slow, needs_browser]

READ = ".transport .read b"


async def replayed(page: Page, server: Server, query: str = "") -> int:
    """Open the replay of the first job, and return how many events it has."""
    await opened(page, f"{server.url}/jobs/first{query}", "first")
    await shown(page, ".stats", "proven")
    text = await shown(page, READ)
    return int(text.split()[-1])


async def at(page: Page, filled: Filled, event: int, total: int) -> None:
    """Wait until the replay is at an event, and check every place that shows it."""
    await shown(page, READ, f"Event {event} of {total}")
    slider = "document.querySelector('.scrub').getAttribute('aria-valuenow')"
    assert await page.run(slider) == str(event)
    history = filled.get("/api/jobs/first/history", limit=1000)["events"]
    position = None if event == total else str(history[event - 1]["position"])
    await until_true(page, f"new URL(location).searchParams.get('at') === {json.dumps(position)}")
    await shown(page, ".list [aria-current=step]", str(event))


async def test_keys_buttons_and_the_address_agree_on_the_position(
    server: Server, filled: Filled, page: Page
) -> None:
    total = await replayed(page, server)
    await at(page, filled, total, total)
    await page.press("ArrowLeft")
    await at(page, filled, total - 1, total)
    await page.press("ArrowLeft", 8)
    await at(page, filled, total - 11, total)
    await page.press("Home")
    await at(page, filled, 1, total)
    after = "document.querySelector('.list [aria-current=step] .x').textContent"
    assert await page.run(after) == "+0 ms"
    await click(page, "button[aria-label='One event on']")
    await at(page, filled, 2, total)
    assert re.fullmatch(r"\+[1-9]\d* ms|\+\d\.\d s", await page.run(after))
    await page.press("End")
    await at(page, filled, total, total)


async def test_the_rows_around_the_event_fill_the_list_up_to_the_last_event(
    server: Server, filled: Filled, page: Page
) -> None:
    await page.resize(1440, 900)
    total = await replayed(page, server)
    row = (
        "(() => { const box = document.querySelector('.list ol').getBoundingClientRect();"
        " return document.elementFromPoint(box.left + 40, box.top + 8).closest('button'); })()"
    )
    for back in range(3):  # the list is at its end before and after each step
        await at(page, filled, total - back, total)
        await until_true(page, row)
        await page.press("ArrowLeft")


async def test_keys_that_come_faster_than_frames_all_count(
    server: Server, filled: Filled, page: Page
) -> None:
    total = await replayed(page, server)
    key = "new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true, cancelable: true })"
    await page.run(f"for (let n = 0; n < 7; n++) document.body.dispatchEvent({key})")

    await at(page, filled, total - 7, total)


async def test_more_steps_than_a_browser_writes_addresses_all_count(
    server: Server, filled: Filled, page: Page
) -> None:
    total = await replayed(page, server)
    await page.run(
        """(async () => {
            for (let n = 0; n < 301; n++) {
                const key = n % 2 ? "ArrowRight" : "ArrowLeft";
                document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
                await new Promise(requestAnimationFrame);
            }
        })()"""
    )

    await at(page, filled, total - 1, total)


async def test_a_drag_of_the_scrubber_moves_the_position(
    server: Server, filled: Filled, page: Page
) -> None:
    await page.resize(1440, 900)
    total = await replayed(page, server, "?scale=order")
    box = await page.run(
        "(() => { const b = document.querySelector('.scrub').getBoundingClientRect();"
        " return [b.left, b.top + b.height / 2, b.width]; })()"
    )
    await page.mouse("mousePressed", box[0] + box[2] * 0.8, box[1], buttons=1)
    await page.mouse("mouseMoved", box[0] + box[2] * 0.3, box[1], buttons=1, button="left")
    await page.mouse("mouseReleased", box[0] + box[2] * 0.3, box[1])
    await until_true(page, f"Number(document.querySelector('.scrub').ariaValueNow) < {total / 2}")
    now = int(await page.run("document.querySelector('.scrub').ariaValueNow"))

    assert 1 < now < total / 2
    await at(page, filled, now, total)


async def test_play_goes_on_to_the_end_and_pause_stops_it(
    server: Server, filled: Filled, page: Page
) -> None:
    total = await replayed(page, server)
    await page.press("Home")
    await at(page, filled, 1, total)
    await page.press(" ")
    await shown(page, ".transport .play[aria-label=Pause]")
    await until_true(page, "Number(document.querySelector('.scrub').ariaValueNow) > 3")
    await page.press(" ")
    await shown(page, ".transport .play[aria-label=Play]")
    stopped = int(await page.run("document.querySelector('.scrub').ariaValueNow"))
    await at(page, filled, stopped, total)
    await page.press(" ")
    await shown(page, READ, f"Event {total} of {total}")


async def test_with_reduced_motion_space_steps(server: Server, filled: Filled, page: Page) -> None:
    await page.emulate(prefers_reduced_motion="reduce")
    total = await replayed(page, server)
    await page.press("Home")
    await at(page, filled, 1, total)
    await page.press(" ")

    await at(page, filled, 2, total)


async def test_time_without_events_is_cut(server: Server, filled: Filled, page: Page) -> None:
    """An asset of an old job is changed today: its events of that day keep their room."""
    old = {"name": "a.txt", "job_id": "old", "node_id": "n"}
    assets = [
        upload(filled.client, b"x", "text/plain", {**old, "made_at": f"2026-01-05T12:00:{n:02}Z"})
        for n in range(0, 40, 4)
    ]
    late = filled.client.patch(f"/api/assets/{assets[-1]['id']}", json={"tags": ["late"]})
    late.raise_for_status()
    await page.resize(1440, 900)
    await page.open(f"{server.url}/jobs/old")
    await shown(page, ".axis", "days")

    lefts = await page.run(
        "[...document.querySelectorAll('.tick')].map((tick) => parseFloat(tick.style.left))"
    )
    cut = float(await page.run("parseFloat(document.querySelector('.cut-line').style.left)"))
    assert lefts == sorted(lefts)
    assert lefts[-2] - lefts[0] > 70
    assert lefts[-2] < cut < lefts[-1] < 100
    await page.press("o")
    await page.once("!document.querySelector('.cut-line')", "1")


async def test_time_is_cut_where_nothing_ran(server: Server, page: Page) -> None:
    """A long run is drawn whole; a change some minutes after the end of a job is not."""
    await page.open(f"{server.url}/jobs")
    topics = ["job.started", "node.started", "node.finished", "job.finished", "asset.described"]
    seconds = [0, 1, 601, 602, 602 + 3600]
    events = [
        {
            "topic": topic,
            "position": n,
            "time": f"2026-01-05T{12 + second // 3600}:{second // 60 % 60:02}:{second % 60:02}Z",
            "node_id": "n",
            "data": {},
        }
        for n, (topic, second) in enumerate(zip(topics, seconds, strict=True), 1)
    ]
    lanes = f"import('/web/{site().digest}/core/lanes.js')"
    placed = await page.run(f"{lanes}.then((lanes) => lanes.places({json.dumps(events)}, true))")

    assert [cut["ms"] for cut in placed["cuts"]] == [4_202_000]
    assert placed["xs"] == sorted(placed["xs"])
    assert placed["xs"][2] - placed["xs"][1] > 0.75
    assert placed["span"] == pytest.approx(602_000 * 9 / 8)


async def test_the_scrubber_has_room_at_every_width(
    server: Server, filled: Filled, page: Page
) -> None:
    await page.resize(1440, 800)
    await replayed(page, server)
    for width in (390, 721, 800, 1024, 1440):
        await page.resize(width, 800)
        room = f"document.querySelector('.scrub').clientWidth > {min(width, 640) / 2}"
        await until_true(page, f"innerWidth === {width} && {room}")
