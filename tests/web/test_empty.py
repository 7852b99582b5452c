"""An empty ledger on a phone: its command scrolls in its box, the page does not."""

import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server
from tests.web.test_screens import shown

pytestmark = [pytest.mark.slow, needs_browser]


async def test_an_empty_ledger_has_room_on_a_phone(server: Server, page: Page) -> None:
    await page.resize(390, 844)
    await page.open(server.url)
    await shown(page, ".empty .command pre", "curl")

    right = "document.querySelector('.empty .command').getBoundingClientRect().right"
    assert await page.run(right) <= 390
