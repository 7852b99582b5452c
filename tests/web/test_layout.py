"""Every screen at every width, by keyboard alone and in forced colours: all is in reach."""

import json
import shlex
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import PATIENCE, serving
from tests.web.commands import copied_command, output
from tests.web.filled import Filled, fill
from tests.web.test_previews import until_true
from tests.web.test_screens import click, opened, shown

pytestmark = [pytest.mark.slow, needs_browser]

SCREENS: Final = {
    "/": (".sub b", "assets"),
    "/?view=list": (".c-made", ""),
    "/?open={asset}": (".panel h1, .panel h2", "face"),
    "/assets/{asset}": ("h1", "face"),
    "/assets/{text}?version=2&with=1": (".comparison", "three"),
    "/jobs": ("tbody tr", "first"),
    "/jobs/first": (".transport .read b", "Event"),
    "/jobs/first?tab=events": ("tbody tr", "asset.created"),
    "/jobs/first?tab=compare&with=second": (".part", "They part at"),
    "/usage": ("tbody tr", "node-1"),
    "/nodes/node-1": ("h1", "node-1"),
    "/ledger": (".box", "events"),
}
"""The path of each screen, and what it shows once it is there."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Yield what is on a server that the tests of this module only read."""
    with (
        serving(tmp_path_factory.mktemp("layout") / "data") as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
    ):
        yield fill(client)


def base(filled: Filled) -> str:
    return str(filled.client.base_url).rstrip("/")


def path(filled: Filled, pattern: str) -> str:
    return pattern.format(asset=filled.assets[4]["id"], text=filled.changed["id"])


@pytest.mark.parametrize("width", [320, 390, 720, 1440, 3840])
async def test_no_screen_scrolls_sideways(shared: Filled, page: Page, width: int) -> None:
    await page.resize(width, 800)
    for pattern, (selector, text) in SCREENS.items():
        await page.open(base(shared) + path(shared, pattern))
        await shown(page, selector, text)
        wide = await page.run(
            "[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]"
        )
        assert max(wide[:2]) <= width == wide[2], pattern


@pytest.mark.parametrize("width", [320, 390])
async def test_the_audit_bundle_is_in_reach_of_a_phone(
    shared: Filled, page: Page, width: int
) -> None:
    await page.resize(width, 800)
    await page.open(f"{base(shared)}/jobs/first")
    await click(page, ".title button", "Audit bundle")
    await shown(page, "dialog", "Download the bundle")
    box = "(({ left, right }) => [left, right])(document.querySelector(%r).getBoundingClientRect())"
    assert await page.run(box % "dialog") == [0, width]
    inside = "document.querySelector('dialog .confirm')"
    assert await page.run(f"{inside}.scrollWidth <= {inside}.clientWidth")
    await click(page, "dialog button[aria-label=Close]")
    left, right = await page.run(box % ".title button.wide")
    assert 0 < left < right - 24 <= width


async def test_at_400_percent_zoom_the_panel_is_a_page_of_its_own(
    shared: Filled, page: Page
) -> None:
    await page.resize(1280 // 4, 1024 // 4)
    await page.open(base(shared) + path(shared, "/?open={asset}"))
    await shown(page, ".panel h1", "face")

    box = await page.run(
        "(() => { const b = document.querySelector('.panel').getBoundingClientRect();"
        " return [b.left, b.right]; })()"
    )
    assert box == [0, 320]


@pytest.mark.parametrize(
    "features",
    [{"forced_colors": "active"}, {"prefers_color_scheme": "dark"}, {"prefers_contrast": "more"}],
)
async def test_each_screen_is_there_under_other_preferences(
    shared: Filled, page: Page, features: dict[str, str]
) -> None:
    await page.emulate(**features)
    for pattern, (selector, text) in SCREENS.items():
        await page.open(base(shared) + path(shared, pattern))
        await shown(page, selector, text)


@pytest.mark.parametrize("pattern", SCREENS)
async def test_a_link_gives_the_same_view_in_a_new_tab(
    shared: Filled, page: Page, pattern: str
) -> None:
    selector, text = SCREENS[pattern]
    url = base(shared) + path(shared, pattern)
    await page.open(url)
    await shown(page, selector, text)
    await until_true(
        page, "document.title !== 'Asset Ledger' && !document.title.startsWith('Asset ·')"
    )
    look = "[location.href, document.title, document.querySelector('h1').textContent]"
    before = await page.run(look)
    await page.open(url)
    await shown(page, selector, text)

    await until_true(page, f"String({look}) === {json.dumps(','.join(before))}")
    assert await page.run("document.querySelectorAll('h1').length") == 1


OFFERED: Final = {
    "/?node_id=node-1&job_id=first&q=face": (".sub b", "assets"),
    "/jobs?status=failed": ("tbody tr", "second"),
    "/jobs/first": (".transport .read b", "Event"),
    "/jobs/first?tab=assets": (".sub b", "assets"),
    "/jobs/first?tab=lineage": (".dagnode", ""),
    "/jobs/first?tab=events": ("tbody tr", "asset.created"),
    "/jobs/first?tab=parameters": (".tree", "sdxl"),
    "/jobs/first?tab=compare&with=second": (".part", "They part at"),
    "/usage?by=day&job_id=first": (".chart + .key", ""),
    "/nodes/node-1": (".chart + .key", ""),
    "/workflows/portraits": (".chart + .key", ""),
    "/ledger": ("dt", "Checkpoint"),
    "/assets/{asset}": (".about .seal", "proven"),
    "/?open={asset}": (".panel .seal", "proven"),
}
"""Each kind of view, and what it shows once it is there."""


async def test_each_screen_offers_its_request_as_a_command(shared: Filled, page: Page) -> None:
    for pattern, (selector, text) in OFFERED.items():
        before = len(page.fetched)
        await page.open(base(shared) + path(shared, pattern))
        await shown(page, selector, text)
        command = await offered(page, pattern)

        asked = shlex.split(command)[2]
        sent = page.fetched[before:]
        assert any(includes(url, asked) for url in sent), (pattern, command, sent)
        found = output(command)
        assert found, pattern
        assert "urn:asset-ledger" not in found, (pattern, command, found)


async def offered(page: Page, pattern: str) -> str:
    """Return the command that a screen, or the menu of an asset, offers."""
    if "{asset}" not in pattern:
        return await copied_command(page, "main")
    within = ".panel" if "open" in pattern else "main.asset"
    await click(page, f"{within} button[aria-label=More]")
    return await copied_command(page, within)


def includes(url: str, asked: str) -> bool:
    """Tell whether a request has the path and all parameters of another."""
    one, other = urlsplit(url), urlsplit(asked)
    return one.path == other.path and set(parse_qsl(other.query)) <= set(parse_qsl(one.query))


FOCUSED: Final = """(() => {
    const e = document.activeElement;
    const around = [e, e.parentElement, e.closest(".find, label")];
    const marked = (each) => ["outlineStyle", "boxShadow"].some((name) =>
        getComputedStyle(each)[name] !== "none");
    const seen = e.getBoundingClientRect().width > 0 && around.some((each) => each && marked(each));
    return e === document.body || seen || e.outerHTML.slice(0, 200);
})()"""
"""Whether what has the focus is seen, and marked."""

UNNAMED: Final = '["Asset Ledger", "Asset · Asset Ledger"]'
"""Titles of a screen until it is loaded."""

THEME: Final = ".foot button[title*=heme], .foot button[aria-label*=heme], .foot button"
JUMPS: Final = {"a": "Assets", "j": "Jobs", "u": "Usage", "l": "Ledger"}


async def test_two_keys_lead_to_each_screen(shared: Filled, page: Page) -> None:
    await opened(page, f"{base(shared)}/jobs", "Jobs")
    for key, heading in JUMPS.items():
        await page.press("g")
        await page.press(key)
        await shown(page, "h1", heading)


async def test_jump_finds_a_job_and_gives_the_focus_back(shared: Filled, page: Page) -> None:
    await opened(page, f"{base(shared)}/jobs", "Jobs")
    await page.run("document.querySelector('.nav a[href=\"/usage\"]').focus()")
    await page.press("k", 2)
    await until_true(page, "document.activeElement.matches('dialog input')")
    await page.press("Escape")
    await until_true(page, "document.activeElement.matches('.nav a[href=\"/usage\"]')")

    await page.press("k", 2)
    await until_true(page, "document.activeElement.matches('dialog input')")
    await page.insert("second")
    await shown(page, "#hits [role=option]", "second")
    await page.press("Enter")
    await shown(page, "h1", "second")


async def test_an_asset_is_opened_read_and_left_by_keyboard_alone(
    shared: Filled, page: Page
) -> None:
    await opened(page, base(shared), "Assets")
    await shown(page, "#asset-0 .name")
    await page.press("ArrowDown")
    await until_true(page, "document.querySelector('#asset-0.at')")
    await page.press(" ")
    await shown(page, ".panel h2")
    await page.press("Escape")
    await page.once("!document.querySelector('.panel')", "1")
    await page.press("Enter")
    await shown(page, "main.asset h1")  # its code is loaded when first needed
    assert await page.run("location.pathname.startsWith('/assets/')")
    await page.press("Escape")
    await until_true(page, "location.pathname === '/'")


async def test_escape_goes_back_to_the_filters_and_the_place_in_the_list(
    shared: Filled, page: Page
) -> None:
    query = "?content_type=image%2F&sort=name"
    await opened(page, base(shared) + query, "Assets")
    await shown(page, "#asset-0 .name")
    for n in range(5):
        await page.press("ArrowRight")
        await until_true(page, f"document.querySelector('#asset-{n}.at')")
    await page.press(" ")
    await shown(page, ".panel h2")
    listed = await page.run("location.search")
    await click(page, ".panel a[aria-label='Open as page']")
    await shown(page, "main.asset h1")

    await page.press("Escape")

    await until_true(page, f"location.pathname + location.search === '/{listed}'")
    assert listed.startswith(query)
    await shown(page, "#asset-4.at .name")
    await shown(page, ".panel h2")


async def test_escape_leaves_a_field_before_it_leaves_the_page(shared: Filled, page: Page) -> None:
    await page.open(f"{base(shared)}/jobs/first?tab=compare")
    await shown(page, ".field", "Compare with")
    await page.run("document.querySelector('.field input').focus()")
    await page.press("Escape")
    await until_true(page, "document.activeElement === document.body")
    assert await page.run("location.pathname") == "/jobs/first"
    await page.press("Escape")

    await until_true(page, "location.pathname === '/jobs'")


@pytest.mark.parametrize(
    ("path", "heading", "parent"), [("/jobs/first", "first", "/jobs"), ("/assets/{id}", "", "/")]
)
async def test_escape_leads_to_the_list_from_a_page_that_was_opened_first(
    shared: Filled, page: Page, path: str, heading: str, parent: str
) -> None:
    await page.open(base(shared) + path.format(id=shared.assets[3]["id"]))
    await shown(page, ".title h1", heading)
    await page.press("Escape")

    await until_true(page, f"location.pathname === '{parent}'")


@pytest.mark.parametrize("pattern", ["/", "/jobs", "/jobs/first", "/usage", "/ledger"])
async def test_tab_reaches_what_can_be_used_and_shows_where_it_is(
    shared: Filled, page: Page, pattern: str
) -> None:
    selector, text = SCREENS[pattern]
    await page.open(base(shared) + pattern)
    await shown(page, selector, text)
    for _ in range(25):
        await page.press("Tab")
        seen = await page.run(FOCUSED)
        assert seen is True


async def test_the_link_of_the_shell_skips_to_the_content(shared: Filled, page: Page) -> None:
    await opened(page, f"{base(shared)}/jobs?status=failed", "Jobs")
    await shown(page, "tbody tr", "second")
    await page.press("Tab")
    await until_true(page, "document.activeElement.matches('.skip')")
    await page.press("Enter")
    await page.press("Tab")

    await until_true(page, "document.activeElement.matches('main *')")
    assert await page.run("location.pathname + location.search") == "/jobs?status=failed"


async def test_a_theme_is_kept(shared: Filled, page: Page) -> None:
    await opened(page, f"{base(shared)}/jobs", "Jobs")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.run(ground)
    await click(page, THEME)
    await until_true(page, f"{ground} !== '{light}'")
    dark = await page.run(ground)
    await opened(page, f"{base(shared)}/usage", "Usage")

    assert await page.run(ground) == dark
