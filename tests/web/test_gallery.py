"""The gallery as people use it: filters, suggestions, history, the time rail, news, selections."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from aiohttp import web
from rich.progress import Progress

from asset_ledger.api.contract.projections import BuildingOut
from benchmarks.fill import A_COMMIT, TEXTS, fill
from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import PATIENCE, Server, serving, until
from tests.web.filled import Filled, picture, upload
from tests.web.proxy import Proxy
from tests.web.test_previews import until_true
from tests.web.test_screens import click, followed, opened, shown

pytestmark = [pytest.mark.slow, needs_browser]

MANY: Final = 10 * A_COMMIT
"""Assets of the large ledger, more than a browser keeps."""

STEPS: Final = frozenset(get_args(BuildingOut.model_fields["state"].annotation))
"""The steps of a rebuild, as the API names them."""

IN_VIEW: Final = """[...document.querySelectorAll("[role=option]")].filter((row) => {
    const [box, list] = [row, row.closest(".scroll")].map((each) => each.getBoundingClientRect());
    return box.top >= list.top && box.bottom <= list.bottom + 40;
})"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Yield a client of a ledger with an asset a minute and a commit a week."""
    data_dir = tmp_path_factory.mktemp("large") / "data"
    weeks = iter(range(MANY // A_COMMIT + 2, 0, -1))
    with Progress(disable=True) as progress:
        fill(data_dir, MANY, progress, TEXTS, lambda: _weeks_ago(next(weeks, 1)))
    with (
        serving(data_dir) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
    ):
        yield client


def _weeks_ago(weeks: int) -> datetime:
    return datetime.now(UTC) - timedelta(weeks=weeks)


def address(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


async def type_filter(page: Page, text: str) -> None:
    await page.run("document.querySelector('.find input').focus()")
    await page.insert(text)


async def test_a_suggestion_becomes_a_chip_by_enter(
    server: Server, filled: Filled, page: Page
) -> None:
    await opened(page, server.url, "Assets")
    await type_filter(page, "node:node-3")
    await shown(page, ".suggestions [role=option]", "node-3")
    await page.press("Enter")

    await shown(page, ".find .chip", "node-3")
    total = filled.get("/api/assets", node_id="node-3", count="exact")["count"]
    await shown(page, ".sub b", f"{total} asset")
    assert await page.run("location.search") == "?node_id=node-3"
    await until_true(page, "document.querySelector('.suggestions').hidden")  # what was found shows
    await page.press("ArrowDown")
    await shown(page, ".suggestions [role=option]", "workflow:")


async def test_the_beginning_of_a_value_becomes_the_suggested_one_by_enter(
    server: Server, filled: Filled, page: Page
) -> None:
    await opened(page, server.url, "Assets")
    await type_filter(page, "job:fi")
    await shown(page, ".suggestions [role=option]", "first")
    await page.press("Enter")

    await until_true(page, "location.search === '?job_id=first'")


def is_on_two(filled: Filled, tag: str) -> bool:
    return len(filled.client.get("/api/assets", params={"tag": tag}).json()["assets"]) == 2


async def test_a_selection_stays_after_its_tags_were_changed(
    server: Server, filled: Filled, page: Page
) -> None:
    await opened(page, f"{server.url}/?job_id=first", "Assets")
    await pick(page, range(2))
    for tag in ("one", "two"):
        await click(page, ".selection button", "Tag")
        await shown(page, "dialog h2", "Tags of 2 assets")
        await page.insert(tag)
        await click(page, "dialog .primary", "Save")
        await shown(page, ".toasts", "Tags of 2 assets changed.")
        await page.once("!document.querySelector('dialog')", "1")
        until(partial(is_on_two, filled, tag), "both have it")  # the message may be the one before
        await shown(page, ".selection b", "2 selected")
        await click(page, ".selection button", "Tag")
        await shown(page, "dialog .tag", tag)
        await page.press("Escape")
        await page.once("!document.querySelector('dialog')", "1")


CHIPS: Final[dict[str, dict[str, Any]]] = {
    "?node_id=node-1&job_id=first": {"node_id": "node-1", "job_id": "first"},
    "?tag=chosen": {"tag": "chosen"},
    "?size_min=10&content_type=text/": {"size_min": 10, "content_type": "text/"},
    "?missing=workflow_id": {"missing": "workflow_id"},
    "?deleted=true": {"deleted": "true"},
    "?q=face+05": {"query": "face 05"},
}


@pytest.mark.parametrize("query", CHIPS)
async def test_chips_give_the_assets_that_the_api_gives(
    server: Server, filled: Filled, page: Page, query: str
) -> None:
    answer = filled.get(
        "/api/assets", count="exact", page_size=1000, sort="-created_at", **CHIPS[query]
    )
    await opened(page, f"{server.url}/{query}&view=list", "Assets")

    if not answer["count"]:
        await shown(page, ".empty")
        return
    await shown(page, ".sub b", f"{answer['count']} asset")
    await shown(page, "[role=option] .c-name")
    names = await page.run(
        "[...document.querySelectorAll('[role=option] .c-name bdi')].map((e) => e.textContent)"
    )
    assert names == [asset["name"] for asset in answer["assets"]][: len(names)]


async def test_the_narrowest_of_filters_that_nothing_matches_is_removed(
    server: Server, filled: Filled, page: Page
) -> None:
    await opened(page, f"{server.url}/?node_id=node-1&tag=chosen", "Assets")
    total = filled.get("/api/assets", node_id="node-1", count="exact")["count"]
    text = await shown(page, ".empty", "or remove the narrowest")
    assert f"{total} assets without it" in text
    await click(page, ".empty .chip button[aria-label='Remove filter tag chosen']")

    await shown(page, ".sub b", f"{total} assets")
    assert await page.run("location.search") == "?node_id=node-1"


async def test_usage_counts_the_days_of_a_range(large: httpx.Client, page: Page) -> None:
    await opened(page, f"{address(large)}/usage?by=day", "Usage")
    await shown(page, "tbody tr")
    await click(page, "button[aria-label^=Time]", "All time")
    await click(page, "[role^=menuitem]", "Last 30 days")
    await until_true(page, "location.search === '?by=day&made=30d'")
    await shown(page, "button[aria-label^=Time]", "Last 30 days")
    await shown(page, "tbody tr")

    asked = [url for url in page.fetched if "group_by=day&" in url and "created_after" in url]
    after = datetime.fromisoformat(parse_qs(urlsplit(asked[0]).query)["created_after"][0])
    assert timedelta(days=30) <= datetime.now(UTC) - after < timedelta(days=30, minutes=5)
    rows = large.get(asked[0]).raise_for_status().json()["usage"]
    keys = [row["key"] for row in rows]
    shown_keys = "[...document.querySelectorAll('tbody td a')].map((each) => each.textContent)"
    await until_true(page, f"JSON.stringify({shown_keys}) === {json.dumps(compact(keys))}")
    everything = large.get("/api/assets/usage", params={"group_by": "day", "page_size": 1000})
    assert 0 < len(keys) < len(everything.json()["usage"])


def compact(value: Any) -> str:
    """Return the JSON of a value as a browser writes it."""
    return json.dumps(value, separators=(",", ":"))


BUILDING: Final = """(() => {
    globalThis.steps = [];
    const look = () => {
        const parts = [...document.querySelector(".build")?.childNodes ?? []];
        const step = parts.map((each) => each.nodeType === 3 ? each.data : "").join("");
        if (step && step !== steps.at(-1)) steps.push(step);
    };
    const all = { childList: true, subtree: true, characterData: true };
    new MutationObserver(look).observe(document, all);
})()"""
"""Note each text of a rebuild that the page shows."""


async def test_a_rebuild_shows_its_steps_and_reads_go_on_meanwhile(
    large: httpx.Client, page: Page
) -> None:
    await opened(page, f"{address(large)}/ledger", "Ledger")
    await shown(page, ".box", "generation 1")
    newest: dict[str, Any] = {"sort": "-created_at", "page_size": 3}
    before = large.get("/api/assets", params=newest).json()["assets"]
    events = state(large)["serving"]["position"]
    await page.run(BUILDING)
    await click(page, ".box button", "Rebuild")
    await click(page, "dialog button", "Rebuild")

    reads = 0
    until(lambda: state(large)["building"], "the rebuild has begun")
    while state(large)["building"]:
        assert large.get("/api/assets", params=newest).json()["assets"] == before
        reads += bool(state(large)["building"])
    await shown(page, ".box", "generation 2")
    steps = await page.run("globalThis.steps")
    assert reads > 0
    assert {step.split(":")[0] for step in steps} <= STEPS
    assert any(f"of {events:,}" in step for step in steps)


def state(client: httpx.Client) -> Any:
    return client.get("/api/projections").raise_for_status().json()


async def test_back_and_forward_restore_filters_and_panel(
    server: Server, filled: Filled, page: Page
) -> None:
    asset = filled.assets[0]["id"]
    await opened(page, f"{server.url}/?job_id=first", "Assets")
    await click(page, ".nav a[href='/jobs']")
    await shown(page, "h1", "Jobs")
    await page.run("history.back()")
    await shown(page, ".find .chip", "first")
    await page.run(f"history.pushState(null, '', '/?job_id=first&open={asset}')")
    await page.run("dispatchEvent(new PopStateEvent('popstate'))")
    await shown(page, ".panel h2", "face-00")
    await page.run("history.back()")
    await page.once("!document.querySelector('.panel')", "1")
    await page.run("history.forward()")
    await shown(page, ".panel h2", "face-00")


async def test_the_place_in_the_list_is_there_after_a_visit_to_another_screen(
    large: httpx.Client, page: Page
) -> None:
    await opened(page, f"{address(large)}/?view=list", "Assets")
    await shown(page, "[role=option] .c-name")
    await page.run("document.querySelector('.scroll').scrollTop = 44 * 900")
    await until_true(page, "document.querySelector('#asset-905 .c-name')")
    await click(page, ".nav a[href='/jobs']")
    await shown(page, "h1", "Jobs")
    await page.run("history.back()")

    await page.once("document.querySelector('#asset-905 .c-name')", "1")


TOP: Final = f"{IN_VIEW}[0]?.querySelector('.c-name bdi')?.textContent"


@pytest.mark.parametrize("query", ["?view=list", "?view=list&sort=-size", "?view=list&made=999d"])
async def test_the_place_in_the_list_is_there_in_a_new_tab(
    large: httpx.Client, page: Page, query: str
) -> None:
    await opened(page, f"{address(large)}/{query}", "Assets")
    await shown(page, "[role=option] .c-name")
    await page.run("document.querySelector('.scroll').scrollTop = 44 * 905")
    await until_true(page, "/at=905[.]/.test(location.search)")
    link, name = await page.run(f"[location.href, {TOP}]")
    asked = len(page.fetched)
    await page.open(link)

    await until_true(page, f"{TOP} === {json.dumps(name)}")
    lists = [url for url in page.fetched[asked:] if "/api/assets?" in url and "page_size" in url]
    assert len([url for url in lists if "folder" not in url]) <= 6  # the pages before are not read


async def test_the_place_in_the_list_is_there_when_a_filter_is_taken_back(
    large: httpx.Client, page: Page
) -> None:
    await opened(page, f"{address(large)}/?view=list", "Assets")
    for place, query in ((900, "?view=list&content_type=text/"), (500, "?view=list")):
        await shown(page, "[role=option] .c-name")
        await page.run(f"document.querySelector('.scroll').scrollTop = 44 * {place}")
        await until_true(page, f"document.querySelector('#asset-{place + 5} .c-name')")
        await page.run(f"history.pushState({{ key: '{place}' }}, '', '/{query}')")
        await page.run("dispatchEvent(new PopStateEvent('popstate'))")
        await until_true(page, "document.querySelector('#asset-0 .c-name')")
    for place in (500, 900):
        await page.run("history.back()")
        await until_true(page, f"document.querySelector('#asset-{place + 5} .c-name')")


async def test_an_asset_stays_in_view_when_its_panel_takes_room_from_the_grid(
    large: httpx.Client, page: Page
) -> None:
    await page.resize(1440, 900)
    await opened(page, f"{address(large)}/?view=grid", "Assets")
    await shown(page, "[role=option] .name")
    columns = "getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ')"
    await page.run("document.querySelector('.scroll').scrollTop = 20_000")
    await until_true(page, f"{IN_VIEW}[20]?.querySelector('.name')")
    before = await page.run(f"{columns}.length")
    opened_id = await page.run(f"{IN_VIEW}[20].click(), {IN_VIEW}[20].id")
    await until_true(page, f"{columns}.length < {before}")
    await until_true(page, f"{IN_VIEW}.some((row) => row.matches('.tile.open#{opened_id}'))")

    await page.press("Escape")
    await until_true(page, f"{columns}.length === {before}")
    await until_true(page, f"{IN_VIEW}.some((row) => row.id === '{opened_id}')")


async def test_the_first_row_stays_the_first_when_a_panel_opens_and_closes(
    large: httpx.Client, page: Page
) -> None:
    await page.resize(1440, 900)
    await opened(page, f"{address(large)}/?view=grid", "Assets")
    await shown(page, "[role=option] .name")
    tops = "[...document.querySelectorAll('[role=option]')].map((row) => row.offsetTop)"
    height = f"{tops}.find((top) => top > 0)"
    for row in (117, 118):  # of seven columns, with no multiple of four before it
        # again until it stands: a scroll beside a change of the columns is lost
        scroll = f"document.querySelector('.scroll').scrollTop = {row} * {height}"
        await until_true(page, f"({scroll}, {IN_VIEW}[1]?.id === 'asset-{7 * row + 1}')")
        await page.run(f"{IN_VIEW}[1].click()")
        await shown(page, ".panel h2")
        await page.press("Escape")
        await page.once("!document.querySelector('.panel')", "1")

        await until_true(page, f"{tops}.filter((top) => top === {tops}[0]).length === 7")
        await until_true(page, f"{IN_VIEW}[20]?.id === 'asset-{7 * row + 20}'")


async def test_the_kept_place_moves_with_what_is_made_before_it(
    server: Server, filled: Filled, page: Page
) -> None:
    await page.resize(1440, 500)
    await opened(page, f"{server.url}/?view=list&job_id=first", "Assets")
    await shown(page, "[role=option] .c-name")
    await page.run("document.querySelector('.scroll').scrollTop = 44 * 10")
    await until_true(page, "location.search.endsWith('&at=10.29')")
    name = await page.run(TOP)
    upload(filled.client, picture(4, 4, 4), "image/png", {"name": "later.png", "job_id": "first"})
    await page.open(f"{server.url}/?view=list&job_id=first&at=10.29")

    await until_true(page, "location.search.endsWith('&at=11.30')")
    assert await page.run(TOP) == name
    await page.run("document.querySelector('.scroll').scrollTop = 0")
    await until_true(page, "location.search === '?view=list&job_id=first'")
    await page.run("document.querySelector('.scroll').scrollTop = 44 * 3")
    await until_true(page, "location.search.includes('&at=3.')")
    await type_filter(page, "node:node-1")
    await shown(page, ".suggestions [role=option]", "node-1")
    await page.press("Enter")
    await until_true(page, "location.search === '?view=list&job_id=first&node_id=node-1'")


WIDTHS: Final = """[".rows-head > .c-name", ".tile .c-name", ".rows-head > .c-type"].map((each) =>
    Math.round(document.querySelector(each).getBoundingClientRect().width))"""


async def test_columns_keep_the_width_that_a_mouse_or_keys_gave_them(
    server: Server, filled: Filled, page: Page
) -> None:
    await page.resize(1440, 900)
    await opened(page, f"{server.url}/?view=list", "Assets")
    await shown(page, "[role=option] .c-name")
    name, listed, kind = await page.run(WIDTHS)
    assert name == listed
    border = "document.querySelector('.c-type [role=separator]')"
    box = f"{border}.getBoundingClientRect()"
    x, y = await page.run(f"[{box}.left + 6, {box}.top + 6]")
    for step, at in (("mousePressed", x), ("mouseMoved", x + 60), ("mouseReleased", x + 60)):
        await page.mouse(step, at, y, button="left", buttons=int(step != "mouseReleased"))
    await until_true(page, f"Math.abs({WIDTHS}[2] - {kind + 60}) <= 8")
    wide = (await page.run(WIDTHS))[2]
    await page.run("document.querySelector('.c-name [role=separator]').focus()")
    await page.press("ArrowLeft")
    await until_true(page, f"{WIDTHS}[0] < {name}")
    changed = await page.run(WIDTHS)
    assert changed[0] == changed[1]
    await page.open(f"{server.url}/?view=list")

    await shown(page, "[role=option] .c-name")
    assert await page.run(WIDTHS) == changed
    for column in ("type", "name"):
        await page.run(f"document.querySelector('.c-{column} [role=separator]').focus()")
        await page.press("Home")
    await until_true(page, f"String({WIDTHS}) === '{name},{name},{kind}'")
    assert wide > kind


async def test_end_and_home_land_on_the_oldest_and_the_newest(
    large: httpx.Client, page: Page
) -> None:
    oldest, newest = (
        large.get("/api/assets", params={"sort": sort, "page_size": 1}).json()["assets"][0]
        for sort in ("created_at", "-created_at")
    )
    await opened(page, address(large), "Assets")
    await shown(page, "[role=option] .name")
    await page.run("document.querySelector('[role=listbox][aria-multiselectable]').focus()")
    await page.press("End")
    await shown(page, "[role=option].at .name", oldest["name"])
    await page.press("Home")
    await shown(page, "[role=option].at .name", newest["name"])
    elements = await page.run("document.querySelectorAll('*').length")
    assert elements <= 1500


async def test_the_time_rail_jumps_to_a_day_that_is_not_loaded(
    large: httpx.Client, page: Page
) -> None:
    await page.resize(1440, 900)
    await opened(page, address(large), "Assets")
    rail = await page.once(
        "document.querySelector('.rail i')",
        "(() => { const box = document.querySelector('.rail').getBoundingClientRect();"
        " return [box.left + box.width / 2, box.top, box.height]; })()",
    )
    newest = await shown(page, ".sub .day", "20")
    for kind in ("mousePressed", "mouseReleased"):
        await page.mouse(kind, rail[0], rail[1] + rail[2] * 0.6)
    day = "document.querySelector('.sub .day').textContent"
    await until_true(page, f"{day} && {day} !== '{newest}'")
    await until_true(page, f"{IN_VIEW}[0]?.querySelector('.name')")
    names = await page.run(
        f"{IN_VIEW}.flatMap((row) => row.querySelector('.name bdi')?.textContent ?? [])"
    )

    shown_day = await page.run(day)
    assert shown_day in {made_on(large, name) for name in names}


def made_on(client: httpx.Client, name: str) -> str:
    """Return the day on which an asset was made, as the console writes it."""
    (asset,) = client.get("/api/assets", params={"name": name}).json()["assets"]
    made = datetime.fromisoformat(asset["created_at"])
    return f"{made:%a} {made.day} {made:%b} {made.year}"


async def test_news_wait_behind_their_number_and_move_nothing(
    server: Server, filled: Filled, page: Page
) -> None:
    await followed(page, server.url)
    first = "document.querySelector('#asset-0 .name').textContent"
    before = await page.run(first)
    upload(filled.client, picture(9, 9, 9), "image/png", {"name": "news.png"})

    await shown(page, ".fresh", "1 new")
    assert await page.run(first) == before
    await click(page, ".fresh")
    await shown(page, "#asset-0 .name", "news.png")


async def pick(page: Page, indexes: range) -> None:
    """Select assets as a keyboard does: x on the first, Shift and arrow for the others."""
    await shown(page, f"#asset-{indexes.start} .name")
    await page.run("document.querySelector('[role=listbox][aria-multiselectable]').focus()")
    await page.press("Home")
    for _ in range(indexes.start):
        await page.press("ArrowRight")
    await until_true(page, f"document.querySelector('#asset-{indexes.start}.at')")
    await page.press("x")
    for index in list(indexes)[1:]:
        await until_true(page, f"document.querySelector('#asset-{index - 1}.picked')")
        await page.press("ArrowRight", 8)
    await shown(page, ".selection b", f"{len(indexes)} selected")


async def test_three_assets_are_downloaded_deleted_and_restored(
    server: Server, filled: Filled, page: Page, tmp_path: Path
) -> None:
    await opened(page, f"{server.url}/?job_id=first", "Assets")
    newest = filled.get("/api/assets", job_id="first", sort="-created_at", page_size=3)["assets"]
    await page.save_to(tmp_path)
    await pick(page, range(3))
    await click(page, ".selection button", "Download")
    check_zip(filled, whole(tmp_path, ".zip"), newest)

    await click(page, ".selection button", "Delete")
    await click(page, "dialog .danger", "Delete")
    await shown(page, ".toast, [role=status]", "3 deleted.")
    assert statuses(filled, newest) == {410}
    await click(page, ".toast button, [role=status] button", "Undo")
    await shown(page, ".toast, [role=status]", "3 restored.")
    assert "Undo" not in await shown(page, ".toasts", "3 restored.")
    assert statuses(filled, newest) == {200}


async def test_the_bytes_of_the_version_that_is_shown_are_downloaded(
    server: Server, filled: Filled, page: Page, tmp_path: Path
) -> None:
    await page.save_to(tmp_path)
    await opened(page, f"{server.url}/assets/{filled.changed['id']}?version=1", "notes.txt")
    await shown(page, ".past", "Version 1")
    await click(page, "button[aria-label=Download]")

    assert whole(tmp_path, ".txt").read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("rows", "path"), [(range(2), "/api/assets/download"), (range(1), "/content")]
)
async def test_a_refused_download_is_shown_on_the_page(
    proxy: Proxy, filled: Filled, page: Page, rows: range, path: str
) -> None:
    words = "The disk of the server cannot be read."
    problem = {"type": "urn:asset-ledger:storage-failed", "status": 503, "detail": words}

    def refused() -> web.Response:
        return web.json_response(problem, status=503, content_type="application/problem+json")

    await opened(page, f"{proxy.url}/?job_id=first", "Assets")
    await pick(page, rows)
    proxy.instead = lambda asked: refused() if asked.endswith(path) else None
    page.excused.append("503")

    await click(page, ".selection button", "Download")

    await shown(page, ".toast, [role=status]", words)
    assert await page.run("location.search") == "?job_id=first"
    await shown(page, ".selection b", "selected")


def whole(folder: Path, ending: str) -> Path:
    """Return a downloaded file once it is whole."""
    until(  # its name is reserved by an empty file
        lambda: any(file.stat().st_size for file in folder.glob(f"*{ending}")),
        "a file is downloaded",
    )
    (found,) = folder.glob(f"*{ending}")
    return found


def check_zip(filled: Filled, file: Path, assets: list[dict[str, Any]]) -> None:
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as packed:
        contents = sorted(packed.read(name) for name in packed.namelist())
    expected = [filled.client.get(asset["get_url"]).content for asset in assets]
    assert contents == sorted(expected)


def statuses(filled: Filled, assets: list[dict[str, Any]]) -> set[int]:
    return {filled.client.get(f"/api/assets/{asset['id']}").status_code for asset in assets}
