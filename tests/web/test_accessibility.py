"""No screen of the console breaks a rule of axe-core, light and dark, wide and on a phone."""

import json
from typing import Any, Final

import pytest

from tests.house.source import ROOT
from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server
from tests.web.filled import Filled
from tests.web.test_screens import click, shown

AXE: Final = ROOT / "tools" / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
SIZES: Final = ((1440, 900), (390, 844))

pytestmark = [
    pytest.mark.slow,
    needs_browser,
    pytest.mark.skipif(not AXE.is_file(), reason="no axe-core here: `make lint` brings it by npm"),
]


def screens(filled: Filled) -> dict[str, tuple[str, str]]:
    """Return the path of each screen, and what it shows once it is there."""
    asset, text = filled.assets[4]["id"], filled.changed["id"]
    return {
        "/": (".sub b", "assets"),
        "/?view=list": (".c-made", ""),
        f"/?open={asset}": (".panel .seal", "proven"),
        "/?q=nothing+of+this": (".empty", "Nothing"),
        f"/assets/{asset}": (".about .seal", "proven"),
        f"/assets/{asset}?tab=lineage": (".graph .node", ""),
        f"/assets/{text}?version=2&with=1": (".diff .new", "three"),
        f"/assets/{filled.deleted}": (".about .seal", "proven"),
        "/jobs": ("tbody tr", "first"),
        "/jobs/first": (".stats", "proven"),
        "/jobs/first?tab=assets": ("[role=option] .face", ""),
        "/jobs/first?tab=lineage": (".dagnode", ""),
        "/jobs/first?tab=events": ("tbody tr", ""),
        "/jobs/first?tab=parameters": (".tree", "sdxl"),
        "/jobs/first?tab=compare&with=second": (".part", "part"),
        "/usage": (".chart + .key", ""),
        "/nodes/node-1": (".chart + .key", ""),
        "/ledger": (".okline", ""),
    }


async def violations(page: Page) -> list[Any]:
    """Return each rule that an element breaks, in both themes and both sizes."""
    found = []
    for theme in ("light", "dark"):
        for width, height in SIZES:
            await page.emulate(prefers_reduced_motion="reduce")  # colours change at once
            await page.resize(width, height)
            await page.run(f"void (document.documentElement.dataset.theme = {theme!r})")
            options = json.dumps({"runOnly": list(RULES), "resultTypes": ["violations"]})
            answer = await page.run(
                f"axe.run(document, {options}).then((found) => found.violations.map((each) =>"
                " [each.id, each.nodes.slice(0, 3).map((node) => node.html)]))"
            )
            found += [[theme, width, *each] for each in answer]
    return found


OUTSIDE: Final = """[...document.querySelectorAll("a, button, input, select, h1, h2, td, dd")]
    .filter((each) => !each.closest(".vh, .skip, .tabrow, .dag, .graph, pre, .find"))
    .map((each) => each.closest("td") ?? each) // a cell cuts what is in it
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
    .map((each) => each.outerHTML.slice(0, 120))
    .concat([...document.querySelectorAll(".main, .scroll")]
        .filter((each) => each.scrollWidth > each.clientWidth + 1 && !each.querySelector(".dag"))
        .map((each) => `${each.className} is ${each.scrollWidth} px wide`))"""
"""What is not on the page, or lets it scroll sideways. Graphs and rows of tabs may."""


async def outside(page: Page) -> list[Any]:
    """Return what has no room at 320 px, which is 1,280 px at a zoom of 400 %."""
    await page.resize(320, 640)
    found = await page.run(OUTSIDE)
    return [["320 px", *found]] if found else []


async def test_no_screen_breaks_a_rule(server: Server, filled: Filled, page: Page) -> None:
    broken = {}
    for path, (selector, text) in screens(filled).items():
        await page.open(server.url + path)
        await shown(page, selector, text)
        await page.run(AXE.read_text("utf-8") + ";void 0")
        if found := [*await violations(page), *await outside(page)]:
            broken[path] = found
    page.complaints[:] = [each for each in page.complaints if "410 (Gone)" not in each]

    assert broken == {}


DIALOGS: Final = {
    "Jump to": ".jump",
    "Upload": ".bar .btn.primary",
    "Tags of": ".panel .acts .btn:nth-child(2)",
    "Move": ".panel .acts .btn:nth-child(3)",
}


async def test_no_dialog_breaks_a_rule(server: Server, filled: Filled, page: Page) -> None:
    await page.open(f"{server.url}/?open={filled.assets[4]['id']}")
    await shown(page, ".panel .acts")
    await page.run(AXE.read_text("utf-8") + ";void 0")
    broken = {}
    for title, button in DIALOGS.items():
        await click(page, button)
        await shown(page, "dialog h2", title)
        if found := await violations(page):
            broken[title] = found
        await page.resize(1440, 900)
        await click(page, "dialog header button[aria-label=Close]")
        await page.once("!document.querySelector('dialog')", "1")

    assert broken == {}
