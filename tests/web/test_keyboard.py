"""The console by keyboard alone."""

import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server
from tests.web.filled import Filled
from tests.web.test_screens import opened, shown

pytestmark = [pytest.mark.slow, needs_browser]

CTRL = 2


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.press(key)


async def focused(page: Page, selector: str) -> None:
    """Wait until an element of this selector has the focus, and shows it."""
    await page.once(f"document.activeElement.matches({selector!r})", "1")


async def test_keys_lead_from_screen_to_screen(server: Server, filled: Filled, page: Page) -> None:
    await opened(page, f"{server.url}/", "Assets")
    await shown(page, "[role=option]", "face")
    await press(page, "/")
    await focused(page, ".find input")
    await press(page, "Escape", "Escape", "g", "j")
    await shown(page, "h1", "Jobs")
    await shown(page, "tbody tr", "first")
    await press(page, "ArrowDown")
    await focused(page, "tbody tr:first-child a")
    await press(page, "ArrowDown")
    await focused(page, "tbody tr:nth-child(2) a")
    await press(page, "x", "ArrowUp", "x")
    await shown(page, ".pagehead a", "Compare")
    await press(page, "x")
    await page.once("!document.querySelector('.pagehead a')", "1")
    await press(page, "ArrowDown", "Enter")
    await shown(page, "h1", "first")
    await press(page, "g", "l")
    await shown(page, "h1", "Ledger")
    await shown(page, "tbody tr", "job.finished")
    await press(page, "ArrowDown", "ArrowDown", " ")
    await shown(page, "dialog h2", "Event")
    await press(page, "Escape", "g", "j")
    await shown(page, "tbody tr", "first")
    await press(page, "ArrowDown", " ")
    await shown(page, "h1", "second")
    await press(page, "t")
    dark = "document.documentElement.dataset.theme === 'dark'"
    await page.once(dark, "1")


async def test_a_grid_is_walked_selected_and_opened(
    server: Server, filled: Filled, page: Page
) -> None:
    await opened(page, f"{server.url}/", "Assets")
    await shown(page, "[role=option]", "face-29")
    await press(page, "ArrowDown")
    await page.once("document.querySelector('.tile.at')?.id === 'asset-0'", "1")
    await press(page, "ArrowRight", "x", "ArrowRight", "x")
    await shown(page, ".selection", "2 selected")
    await press(page, "End")
    await page.once("document.querySelector('.tile.at')?.id === 'asset-58'", "1")
    await press(page, "Escape", "Home", " ")
    await shown(page, ".panel h2", "face-29")
    await press(page, "j")
    await shown(page, ".panel h2", "face-28")
    await press(page, "Enter")
    await shown(page, "h1", "face-2")


async def test_the_asset_after_a_deleted_one_is_the_next(
    server: Server, filled: Filled, page: Page
) -> None:
    await opened(page, f"{server.url}/?job_id=first", "Assets")
    await shown(page, "[role=option]", "face-29")
    await press(page, "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight")
    await shown(page, "#asset-3.at .name", "face-26")
    for gone, then in (("face-26", "face-25"), ("face-25", "face-24")):
        await press(page, "Delete")
        await shown(page, "dialog p", gone)
        await focused(page, "dialog .danger")
        await press(page, "Enter")
        await shown(page, "#asset-3.at .name", then)
    await press(page, "ArrowLeft", " ")
    await shown(page, ".panel h2", "face-27")
    await press(page, "Delete")
    await focused(page, "dialog .danger")
    await press(page, "Enter")
    await shown(page, "#asset-2.at .name", "face-24")
    await press(page, "j")
    await shown(page, ".panel h2", "face-24")
    await press(page, "z")
    await shown(page, ".toast, [role=status]", "restored.")
    await shown(page, "#asset-3.at .name", "face-24")
    names = ("face-25.png", "face-26.png")
    first = [each for each in filled.assets if each["job_id"] == "first"]
    restored = {"ids": [each["id"] for each in first if each["name"] in names]}
    filled.client.post("/api/assets/bulk-restore", json=restored).raise_for_status()


async def test_a_replay_is_stepped(server: Server, filled: Filled, page: Page) -> None:
    await opened(page, f"{server.url}/jobs/first", "first")
    await shown(page, ".read b", "Event 35 of 35")
    for key, event in (("ArrowLeft", 34), ("Home", 1), ("ArrowRight", 2)):
        await press(page, key)
        await shown(page, ".read b", f"Event {event} of 35")
    await page.press("ArrowRight", 8)
    await shown(page, ".read b", "Event 12 of 35")
    await page.emulate(prefers_reduced_motion="reduce")
    await press(page, " ")
    await shown(page, ".read b", "Event 13 of 35")
    assert await page.run("document.querySelector('.play').getAttribute('aria-label')") == "Play"


async def test_a_dialog_has_the_keys_and_gives_the_focus_back(
    server: Server, filled: Filled, page: Page
) -> None:
    asset = filled.assets[4]["id"]
    await opened(page, f"{server.url}/?open={asset}", "Assets")
    await shown(page, ".panel .acts", "Download")
    await page.run("document.querySelector('.panel .acts .btn:nth-child(2)').focus()")
    await press(page, "Enter")
    await focused(page, "dialog input")
    await press(page, "Escape")
    await focused(page, ".panel .acts .btn:nth-child(2)")
    await shown(page, ".panel .acts", "Download")  # Escape closed the dialog alone

    await press(page, "?")
    await shown(page, "dialog h2", "Keys")
    await page.run("document.querySelector('dialog input').click()")  # single keys off
    await press(page, "Escape", "g", "j")
    await page.press("k", CTRL)
    await shown(page, "dialog h2", "Jump to")
    assert await page.run("location.pathname") == "/"


async def test_a_pinned_view_stays_in_the_rail(server: Server, filled: Filled, page: Page) -> None:
    await opened(page, f"{server.url}/?tag=chosen", "Assets")
    await page.press("k", CTRL)
    await focused(page, "dialog input")
    for letter in "pin this":
        await page.press(letter)
    await shown(page, ".jumpbox [aria-selected=true]", "Pin this view")
    await press(page, "Enter")
    await shown(page, ".nav .small", "Assets, tag chosen")
    await page.open(f"{server.url}/jobs")
    await shown(page, ".nav .small a[href='/?tag=chosen']")
