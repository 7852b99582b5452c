"""The stream of events in the console: shared by all tabs, resumed, and left by a hidden one."""

from typing import Final

import httpx
import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server, until
from tests.web.filled import Filled, picture, upload
from tests.web.test_previews import until_true
from tests.web.test_screens import click, followed, shown

pytestmark = [pytest.mark.slow, needs_browser]

TABS = 10


async def opened_tabs(page: Page, url: str) -> list[Page]:
    """Open ten tabs of the jobs. Each of them has to load what it shows."""
    tabs = [page]
    await page.open(url)
    for _ in range(TABS - 1):
        await shown(tabs[-1], "tbody tr", "first")
        tabs.append(await page.beside(url))
    return tabs


async def test_ten_tabs_load_and_all_of_them_see_a_new_event(
    server: Server, filled: Filled, page: Page
) -> None:
    tabs = await opened_tabs(page, f"{server.url}/jobs")
    for tab in tabs:
        await shown(tab, ".foot .row", "Live")
        await shown(tab, "tbody tr", "first")  # from here on, what is new is counted

    filled.client.post("/api/jobs/third/start").raise_for_status()
    for tab in tabs:
        await shown(tab, ".fresh", "1 changed")
        await shown(tab, "[role=status]", "1 changed")
    streams = [url for url in page.fetched if url.endswith("/api/events/stream")]
    assert len(streams) == 1


async def test_another_tab_reads_once_the_reading_tab_is_closed(
    server: Server, filled: Filled, page: Page
) -> None:
    first = await page.beside(f"{server.url}/jobs")
    await shown(first, ".foot .row", "Live")
    await page.open(f"{server.url}/jobs")
    await shown(page, "tbody tr", "first")
    await first.close()
    await shown(page, ".foot .row", "Live")
    filled.client.post("/api/jobs/third/start").raise_for_status()

    await shown(page, ".fresh", "1 changed")


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


async def test_a_lost_stream_is_resumed_with_each_event_once(
    server: Server, filled: Filled, page: Page
) -> None:
    page.excused.append("net::ERR")  # the server is away
    await page.open(f"{server.url}/ledger")
    await shown(page, ".foot .row", "Live")
    await shown(page, "tbody tr", "asset.deleted")
    server.kill()
    await shown(page, ".foot .row", "Offline")
    server.launch(server.port)
    until(lambda: answers(f"{server.url}/livez"), "the server is back")
    for job in ("third", "fourth"):
        filled.client.post(f"/api/jobs/{job}/start").raise_for_status()
    last = filled.get("/api/events", order="desc", limit=1)["events"][0]["position"]

    await shown(page, ".foot .row", "Live")
    await shown(page, "tbody tr", str(last))
    filled.client.post("/api/jobs/fifth/start").raise_for_status()
    await shown(page, "tbody tr", str(last + 1))
    found = await page.run(
        "[...document.querySelectorAll('tbody tr td:first-child')].map((cell) => cell.textContent)"
    )
    positions = [int(each.replace(",", "")) for each in found]
    assert positions == list(range(last + 1, last + 1 - len(positions), -1))


ANNOUNCEMENTS: Final = """void (() => {
    globalThis.said = [];
    const region = document.querySelector(".sub [role=status]");
    new MutationObserver(() => said.push([performance.now(), region.textContent])).observe(
        region, { childList: true, subtree: true, characterData: true });
})()"""
"""Write down when the live region of the news changes, and to which text."""


async def test_news_are_announced_at_most_every_five_seconds(
    server: Server, filled: Filled, page: Page
) -> None:
    await followed(page, server.url)
    await page.run(ANNOUNCEMENTS)
    for n in (1, 2, 3):
        upload(filled.client, picture(9, 9, n), "image/png", {"name": f"news-{n}.png"})
        await shown(page, ".fresh", f"{n} new")
    said = await page.once("said.at(-1)?.[1] === '3 new'", "said.filter(([, text]) => text)")

    assert [text for _, text in said] == ["1 new", "3 new"]
    assert said[1][0] - said[0][0] >= 5000
    assert await page.run("document.querySelectorAll('[aria-live] .fresh').length") == 0


HELD: Final = """{
    const real = fetch;
    globalThis.held = [];
    globalThis.fetch = async (path, options) => {
        const answer = await real(path, options);
        if (path.startsWith("/api/assets?")) await new Promise((done) => held.push(done));
        return answer;
    };
    globalThis.release = () => { globalThis.fetch = real; held.forEach((done) => done()); };
}"""
"""Keep the answers of lists from the page until they are released."""


async def test_what_is_made_while_a_list_loads_is_news_of_that_list(
    server: Server, filled: Filled, page: Page
) -> None:
    await followed(page, server.url)
    upload(filled.client, picture(9, 9, 1), "image/png", {"name": "listed.png"})
    await shown(page, ".fresh", "1 new")

    await page.run(HELD)
    await click(page, ".fresh")
    await until_true(page, "held.length > 0")
    upload(filled.client, picture(9, 9, 2), "image/png", {"name": "meanwhile.png"})
    head = filled.client.get("/api/events?order=desc&limit=1").headers["Ledger-Position"]
    await shown(page, ".foot", f"{int(head):,} events")
    await page.run("release()")

    await shown(page, "#asset-0 .name", "listed")
    await shown(page, ".fresh", "1 new")
