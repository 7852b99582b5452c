"""What the console shows when the server refuses, fails, is away, is busy, or is behind its log."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server
from tests.web.filled import Filled
from tests.web.proxy import REQUEST, Proxy, problem
from tests.web.test_screens import click, opened, shown
from tests.web.test_trouble import choose, files

pytestmark = [pytest.mark.slow, needs_browser]

PARTS: Final = (
    ("/", r"^/api/assets\?", "#asset-0 .name", ""),
    ("/?open={asset}", "^/api/assets/{asset}$", ".panel .details", "PNG image"),
    ("/assets/{asset}", "^/api/assets/{asset}$", ".about .details", "PNG image"),
    ("/assets/{asset}?tab=lineage", "/lineage", ".graph", ""),
    ("/jobs", r"^/api/jobs\?", "tbody tr", "first"),
    ("/jobs/first", "^/api/jobs/first$", ".read b", "Event"),
    ("/jobs/first?tab=compare&with=second", "/compare/second", ".part", "They part at"),
    ("/usage", "usage.page_size=200&group_by=node_id", "tbody tr", "node-1"),
    ("/usage", "group_by=day", ".chart + .key", "node-1"),
    ("/ledger", "/api/log/checkpoint", ".box", "Checkpoint"),
    ("/ledger", "/api/projections", ".box", "generation 1"),
    ("/ledger", "/readyz", ".box", "Ready"),
    ("/ledger", "/api/events.*limit=100&", "tbody tr", "asset.deleted"),
)
"""Each part of a screen: its address, a request that it needs, what it shows with the answer."""


def busy() -> web.Response:
    return problem(503, "busy", "the write queue is full: try again")


def fault() -> web.Response:
    return problem(500, "internal-error", f"see {REQUEST} in the server's log")


def broken() -> web.Response:
    return web.Response(text="{", headers={"X-Request-Id": REQUEST})


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (busy, "the write queue is full"),
        (fault, "That did not work: a fault of ours."),
        (broken, "That did not work: a fault of ours."),
    ],
)
async def test_a_refused_request_is_shown_with_its_id_and_can_be_tried_again(
    proxy: Proxy, filled: Filled, page: Page, refusal: Callable[[], web.Response], words: str
) -> None:
    page.excused.append("Failed to load resource")
    proxy.refusal = refusal
    asset = filled.assets[4]["id"]
    for screen, refused, selector, text in PARTS:
        if refusal is broken and "checkpoint" in refused:
            continue  # it is no JSON: its proof fails
        proxy.refuses = refused.format(asset=asset)
        await page.open(proxy.url + screen.format(asset=asset))
        assert words in await shown(page, ".failure", f"Request {REQUEST}")
        proxy.refuses = ""
        await click(page, ".failure button", "Try again")
        await shown(page, selector, text)
        await page.once("!document.querySelector('.failure')", "1")


async def test_an_answer_that_no_screen_can_draw_is_a_fault_and_not_a_blank_page(
    proxy: Proxy, filled: Filled, page: Page
) -> None:
    page.excused.append("Uncaught")
    proxy.refusal = lambda: web.json_response({"jobs": [{}]})
    proxy.refuses = r"^/api/jobs\?"
    await page.open(f"{proxy.url}/jobs")
    await shown(page, ".failure", "That did not work: a fault of ours.")
    await click(page, ".nav a[href='/usage']")
    await shown(page, "tbody tr", "node-1")

    await page.run("history.back()")
    await shown(page, ".failure", "That did not work: a fault of ours.")
    proxy.refuses = ""
    await click(page, ".failure button", "Try again")
    await shown(page, "tbody tr", "first")


async def test_a_detail_of_the_server_is_shown_in_its_words(
    server: Server, filled: Filled, page: Page
) -> None:
    detail = filled.client.get("/api/jobs/no-such-job").json()["detail"]
    page.excused.append("/api/jobs/no-such-job")
    await page.open(f"{server.url}/jobs/no-such-job")

    assert detail in await shown(page, ".failure", detail)
    await shown(page, ".failure", "Request")


@pytest.mark.parametrize(("path", "part"), [("/", ".failure"), ("/usage", ".failure")])
async def test_a_link_with_a_day_that_is_none_is_refused_by_the_server(
    server: Server, filled: Filled, page: Page, path: str, part: str
) -> None:
    page.excused.append("Failed to load resource")
    await page.open(f"{server.url}{path}?created_after=yesterday")

    assert "created_after" in await shown(page, part, "Request")
    await shown(page, ".chip", "yesterday")


async def test_a_refusal_beside_what_was_done_has_its_request_id(
    proxy: Proxy, filled: Filled, page: Page, tmp_path: Path
) -> None:
    page.excused.append("Failed to load resource")
    proxy.refusal = fault
    asset = filled.assets[4]["id"]
    await opened(page, f"{proxy.url}/?open={asset}", "Assets")
    await shown(page, ".panel .seal", "proven")
    await click(page, ".panel button[aria-label=More]")
    await click(page, "[role=menuitem]", "Rename")
    proxy.refuses = f"/{asset}$"
    await click(page, "dialog .primary", "Rename")
    await shown(page, "dialog .wrong", REQUEST)
    proxy.refuses = "/bulk-update"
    await opened(page, f"{proxy.url}/?open={asset}", "Assets")
    await click(page, ".panel .acts .btn", "Tag")
    await shown(page, "dialog h2", "Tags of")
    await page.insert("later")
    await click(page, "dialog .primary", "Save")
    await shown(page, ".toast.bad", REQUEST)
    proxy.refuses = ""
    await click(page, ".toast.bad button", "Try again")
    await shown(page, ".toast", "changed.")

    proxy.refuses = "/api/assets/content"
    await choose(page, files(tmp_path / "folder", 1))
    await shown(page, ".files .failed .wrong", REQUEST)
    await click(page, "dialog header button[aria-label=Close]")
    proxy.refuses = "/rebuild"
    await click(page, ".nav a[href='/ledger']")
    await click(page, ".box button", "Rebuild")
    await click(page, "dialog button", "Rebuild")
    await shown(page, ".toast.bad", REQUEST)


async def test_a_lost_connection_is_shown_and_found_again(
    proxy: Proxy, filled: Filled, page: Page
) -> None:
    await opened(page, f"{proxy.url}/jobs", "Jobs")
    await shown(page, "tbody tr", "first")
    await shown(page, ".foot", "events")
    page.excused.append("Failed to load resource")
    proxy.down = True
    await click(page, ".seg button", "Failed")
    await shown(page, ".failure", "No connection")
    await shown(page, ".strip", "Showing what was loaded.")
    await shown(page, ".strip", "Trying again in")
    await click(page, ".nav a[href='/usage']")  # its module was never loaded
    await shown(page, ".empty", "This part could not be loaded.")
    await click(page, ".nav a[href='/jobs']")
    await shown(page, ".failure", "No connection")
    for job in ("third", "fourth"):
        filled.client.post(f"/api/jobs/{job}/start").raise_for_status()
    proxy.down = False
    await click(page, ".strip button", "Now")

    await shown(page, "tbody tr", "first")
    await shown(page, ".toast", "Connected. 2 events were recorded meanwhile.")
    assert await page.run("document.querySelectorAll('.strip, .failure').length") == 0


@pytest.mark.parametrize("status", [429, 503])
async def test_a_read_that_a_busy_server_refuses_is_sent_again_but_not_for_ever(
    proxy: Proxy, filled: Filled, page: Page, status: int
) -> None:
    page.excused.append("Failed to load resource")
    refused: list[str] = []

    def refuse(seconds: str) -> Callable[[], web.Response]:
        def refusal() -> web.Response:
            refused.append(seconds)
            return problem(status, "busy", "wait", **{"Retry-After": seconds})

        return refusal

    await opened(page, f"{proxy.url}/jobs", "Jobs")
    await shown(page, "tbody tr", "first")
    proxy.refuses, proxy.refusal = r"^/api/jobs\?", refuse("10")
    await click(page, ".seg button", "Failed")
    await shown(page, ".strip", "The server is busy.")
    await shown(page, ".strip", "Trying again in")
    proxy.refuses = ""
    await click(page, ".strip button", "Now")
    await shown(page, "tbody tr", "second")
    assert refused == ["10"]

    proxy.refuses, proxy.refusal = r"^/api/jobs\?", refuse("1")
    await click(page, ".seg button", "All")
    await shown(page, ".failure", REQUEST)
    assert refused == ["10", *["1"] * 4]
    proxy.refusal = refuse("3600")
    await page.open(f"{proxy.url}/jobs")
    await shown(page, ".failure", REQUEST)
    assert refused[5:] == ["3600"]


async def test_tables_behind_the_log_are_shown_as_such_until_they_have_caught_up(
    proxy: Proxy, filled: Filled, page: Page
) -> None:
    behind = {"Ledger-Projection": "behind", "Ledger-Position": "1"}
    old = filled.client.get("/api/assets", params={"name": "notes.txt"})
    await opened(page, f"{proxy.url}/jobs", "Jobs")
    await shown(page, ".foot", "events")
    head = int(filled.client.get("/api/events").headers["Ledger-Position"])
    proxy.refuses = r"^/api/assets\?.*query=face"
    proxy.refusal = lambda: web.Response(body=old.content, headers=behind)

    await page.run("history.pushState(null, '', '/?q=face')")
    await page.run("dispatchEvent(new PopStateEvent('popstate'))")
    await shown(page, ".strip", f"The tables are {head - 1} events behind. Showing what they have")
    await shown(page, ".sub b", "2 assets")
    proxy.refuses = ""
    await shown(page, ".sub b", "57 assets")
    await page.once("!document.querySelector('.strip')", "1")

    refusals = iter(range(2))

    def refuse() -> web.Response:
        if next(refusals, None) is None:
            proxy.refuses = ""
        detail = "the tables are behind the log"
        return problem(503, "projection-behind", detail, **{"Retry-After": "1"})

    page.excused.append("Failed to load resource")
    proxy.refuses, proxy.refusal = r"^/api/jobs\?", refuse
    await click(page, ".nav a[href='/jobs']")
    await shown(page, ".strip", "The tables are behind the log.")
    await shown(page, "tbody tr", "first")
    await page.once("!document.querySelector('.strip')", "1")


async def test_a_newer_version_is_shown_to_keep_theirs_or_use_mine(
    server: Server, filled: Filled, page: Page
) -> None:
    page.excused.append("412 (Precondition Failed)")
    path = f"/api/assets/{filled.assets[4]['id']}"

    async def rename(mine: str, theirs: str) -> None:
        await click(page, ".panel button[aria-label=More]")
        await click(page, "[role=menuitem]", "Rename")
        await page.once("document.querySelector('dialog input') === document.activeElement", "1")
        filled.client.patch(path, json={"name": theirs}).raise_for_status()
        await page.run("document.activeElement.select()")
        await page.insert(mine)
        await click(page, "dialog .primary", "Rename")
        await shown(page, "dialog .wrong", "The asset changed since you opened it")
        await shown(page, "dialog .wrong", f"named {theirs}")

    await opened(page, f"{server.url}/?open={filled.assets[4]['id']}", "Assets")
    await rename("mine.png", "theirs.png")
    await click(page, "dialog button", "Keep theirs")
    await shown(page, ".panel h2", "theirs.png")
    assert filled.get(path)["name"] == "theirs.png"

    await rename("mine.png", "newer.png")
    await click(page, "dialog button", "Use mine")
    await shown(page, ".panel h2", "mine.png")
    assert filled.get(path)["name"] == "mine.png"
