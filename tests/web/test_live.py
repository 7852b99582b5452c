"""The stream of events in the console: shared by all tabs, resumed, and left by a hidden one."""

import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server
from tests.web.filled import Filled
from tests.web.test_screens import shown

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
