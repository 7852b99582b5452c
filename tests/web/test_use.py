"""What people do with the console: drop folders, listen, compare, and act for another user."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import PATIENCE, Server, until
from tests.web.files import GOOD
from tests.web.filled import Filled, picture, upload
from tests.web.proxy import Proxy, problem
from tests.web.test_previews import until_true
from tests.web.test_screens import click, opened, shown, sign_in
from tests.web.test_trouble import choose, files, new_token

pytestmark = [pytest.mark.slow, needs_browser]

FACE = "getComputedStyle(document.querySelector('[role=option] .face') ?? document.body).background"


def folder_of_files(folder: Path) -> Path:
    """Make a folder with two folders in it, pictures and a text. An empty folder holds nothing."""
    for number in range(6):
        path = folder / f"day {number % 2}" / f"shot-{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(40 * number, 90, 160))
    (folder / "day 1" / "raw").mkdir()
    (folder / "day 1" / "raw" / "notes ä.txt").write_text("notes")
    (folder / "empty").mkdir()
    return folder


async def test_a_dropped_folder_becomes_folders_with_its_files(
    server: Server, page: Page, tmp_path: Path
) -> None:
    folder, single = folder_of_files(tmp_path / "shots"), tmp_path / "single.txt"
    single.write_text("single")
    await opened(page, server.url, "Assets")

    opens = (
        "new Promise((done) => setTimeout(() => done(!!document.querySelector('.whole')), 3000))"
    )
    for _ in range(5):  # the browser may give the first drop to no page
        await page.drop(folder, single)
        if await page.run(opens):
            break

    await shown(page, ".whole b, .strip", "8 of 8")
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        assets = client.get("/api/assets", params={"page_size": 1000}).json()["assets"]
        files = {each["name"]: each["id"] for each in assets if each["content_type"] != "folder"}

        def path(name: str) -> str:
            found = client.get(f"/api/assets/{files[name]}/folders").json()["folder_path"]
            return "/".join(each["name"] for each in found)

        assert len(files) == 8
        assert [path(f"shot-{n}.png") for n in (0, 1)] == ["shots/day 0", "shots/day 1"]
        assert path("notes ä.txt") == "shots/day 1/raw"
        assert path("single.txt") == ""
    await page.open(f"{server.url}/assets/{files['notes ä.txt']}")
    await shown(page, ".crumb", "Home / shots / day 1 / raw")


async def test_files_dropped_on_the_dialog_get_its_fields_and_its_folder(
    server: Server, page: Page, tmp_path: Path
) -> None:
    single = tmp_path / "single.txt"
    single.write_text("single")
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        sent = {"name": "renders", "content_type": "folder"}
        folder = client.post("/api/assets", json=sent).raise_for_status().json()
        await opened(page, server.url, "Assets")
        await click(page, "button[aria-label=Upload]")
        for number, text in enumerate(("camera", "shoot", "raw, day 1")):
            await page.once(f"document.querySelectorAll('dialog .input')[{number}]", "1")
            await page.run(f"document.querySelectorAll('dialog .input')[{number}].focus()")
            await page.insert(text)
        await click(page, "dialog button", "To Home")
        await click(page, "dialog .folders button", "renders")
        await shown(page, "dialog button", "To renders")

        await page.drop(single)

        await shown(page, ".whole b", "1 of 1")
        (asset,) = client.get("/api/assets", params={"name": "single.txt"}).json()["assets"]
    assert asset["parent_id"] == folder["id"]
    assert (asset["node_id"], asset["job_id"]) == ("camera", "shoot")
    assert asset["tags"] == ["raw", "day 1"]


async def swipe(page: Page, to_x: int) -> None:
    """Swipe over the middle of a phone, from one side to the other."""
    for kind, x in (("touchStart", 200), ("touchMove", (200 + to_x) // 2), ("touchMove", to_x)):
        await page.command("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": 250}])
    await page.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


async def test_a_swipe_leads_to_the_next_asset_unless_the_picture_is_zoomed(
    server: Server, filled: Filled, page: Page
) -> None:
    await page.resize(390, 844)
    await opened(page, f"{server.url}/?job_id=second&sort=name", "Assets")
    await click(page, "#asset-0", "face-00")
    await click(page, ".panel a[aria-label='Open as page']")
    placed = "document.querySelector('.picture img')?.style.transform"  # set once it has loaded
    for to_x, name in ((60, "face-00"), (340, "face-02")):
        await shown(page, "main.asset h1", name)
        await until_true(page, placed)
        await swipe(page, to_x)
    await shown(page, "main.asset h1", "face-00")
    await until_true(page, placed)
    await page.press("+")
    await page.once("document.querySelector('.picture[data-zoomed]')", "1")
    before = await page.run(placed)
    await swipe(page, 60)

    await until_true(page, f"{placed} !== {before!r}")
    await shown(page, "main.asset h1", "face-00")


async def test_a_picture_that_is_slow_shows_its_mean_colour(
    server: Server, proxy: Proxy, page: Page
) -> None:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        asset = upload(client, picture(250, 10, 10), "image/png", {"name": "red.png"})
        for side in (160, 320):
            client.get(f"{asset['thumb_url']}&size={side}").raise_for_status()
    proxy.holds = "/thumbnail"
    await opened(page, proxy.url, "Assets")

    await until_true(page, f"/color.srgb 0.9[0-9]* 0.0/.test({FACE})")
    proxy.holds = "/nothing"
    await until_true(page, f"!/color.srgb 0.9[0-9]* 0.0/.test({FACE})")
    await page.once("document.querySelector('[role=option] img:not(.waiting)')", "true")


async def test_zooming_waits_for_the_picture(server: Server, proxy: Proxy, page: Page) -> None:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        asset = upload(client, picture(9, 9, 9), "image/png", {"name": "slow.png"})
    proxy.holds = str(httpx.URL(asset["get_url"]).path)
    await page.open(f"{proxy.url}/assets/{asset['id']}")
    await shown(page, ".picture .zoom-bar", "100 %")

    await page.press("+")
    await shown(page, ".picture .zoom-bar", "100 %")
    proxy.holds = "/nothing"
    placed = "document.querySelector('.picture img')?.style.transform"
    await until_true(page, placed)
    before = await page.run(placed)
    await page.press("+")

    await until_true(page, f"{placed} !== {before!r}")
    await shown(page, ".picture .zoom-bar", "125 %")


@pytest.mark.parametrize("refused", [False, True])
async def test_a_waveform_is_measured_by_the_server_or_else_by_the_browser(
    server: Server, proxy: Proxy, page: Page, refused: bool
) -> None:
    def instead(path: str) -> web.Response | None:
        is_refused = refused and path.endswith("/peaks")
        return problem(415, "unsupported-type", "not here") if is_refused else None

    proxy.instead = instead
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        file = GOOD["wav"]
        asset = upload(client, file.content, file.content_type, {"name": file.name})

    await page.open(f"{proxy.url}/assets/{asset['id']}")

    await shown(page, ".sound .wave rect")
    assert await page.run("document.querySelectorAll('.sound .wave rect').length") == 160
    asked = [url for url in page.fetched if f"/{asset['id']}/peaks" in url]
    assert asked


async def test_the_panel_shows_pixels_and_folders_without_the_bytes(
    server: Server, page: Page
) -> None:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        sent = {"name": "renders", "content_type": "folder"}
        folder = client.post("/api/assets", json=sent).raise_for_status().json()
        metadata = json.dumps({"steps": 30, "model": {"name": "sdxl", "weights": [1, 0.5]}})
        fields = {"name": "a.png", "parent_id": folder["id"], "metadata": metadata}
        asset = upload(client, picture(1, 2, 3), "image/png", fields)

    await page.open(f"{server.url}/?open={asset['id']}")

    await shown(page, ".panel .details", "48 × 32")
    await shown(page, ".panel .details", "Home / renders")
    await shown(page, ".panel .tree .leaf", 'name: "sdxl"')
    await click(page, ".panel .tree button[aria-expanded=true]")
    await shown(page, ".panel .tree", "2 members")
    assert not [url for url in page.fetched if url.endswith("/content")]


async def test_a_row_of_a_comparison_opens_what_differs(
    server: Server, filled: Filled, page: Page
) -> None:
    await page.open(f"{server.url}/jobs/first?tab=compare&with=second")

    await click(page, "button[aria-label='Look at what differs in face-05.png']", "Look")

    await shown(page, "dialog .comparison dt", "digest")
    await page.once("document.querySelector('dialog .slider img')?.naturalWidth === 48", "true")


async def test_an_admin_acts_for_a_user_and_for_itself_again(
    with_tokens: Server, page: Page
) -> None:
    tokens = {
        user: new_token(with_tokens, user, *scopes)
        for user, *scopes in (
            ("root", "read", "write", "audit", "admin"),
            ("alice", "read", "write"),
        )
    }
    made: dict[str, Any] = {}
    for user, token in tokens.items():
        auth = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=with_tokens.url, headers=auth, timeout=PATIENCE) as client:
            made[user] = upload(client, picture(9, 9, 9), "image/png", {"name": f"{user}.png"})
            wait_for_totals_of(client)
    page.excused.append("401 (Unauthorized)")
    await page.open(with_tokens.url)
    await sign_in(page, tokens["root"])
    await shown(page, "[role=option]", "root.png")

    await page.press("k", 2)
    await page.once("document.querySelector('.jumpbox input') === document.activeElement", "true")
    await page.insert("ali")
    await click(page, "#hits li[role=option]", "alice")

    await shown_anew(page, "[role=option]", "alice.png")
    await shown(page, ".foot", "root for alice")
    await page.once("document.querySelector('[role=option] img:not(.waiting)')", "true")
    await click(page, "button[aria-label='Act for yourself again']")
    await shown_anew(page, "[role=option]", "root.png")


async def shown_anew(page: Page, selector: str, text: str) -> None:
    """Wait until an element has a text, also while the page is loaded again."""
    while True:
        try:
            await shown(page, selector, text)
        except AssertionError as error:
            if "navigated" not in str(error) and "context" not in str(error):
                raise
        else:
            return


def wait_for_totals_of(client: httpx.Client) -> None:
    """Wait until usage has what this user recorded, without the scope audit."""
    listed = client.get("/api/assets", params={"page_size": 1})
    position = {"min_position": listed.headers["Ledger-Position"]}
    until(lambda: client.get("/api/assets/usage", params=position).is_success, "all is counted")


async def test_leaving_the_page_asks_first_while_uploads_are_under_way(
    proxy: Proxy, page: Page, tmp_path: Path
) -> None:
    await opened(page, proxy.url, "Assets")
    proxy.holds = "/api/assets/content"
    await choose(page, files(tmp_path / "folder", 1))
    await shown(page, ".files .sending")
    leave = "setTimeout(() => location.assign('/jobs'))"
    await page.command("Runtime.evaluate", expression=leave, userGesture=True)
    assert await page.answer_dialog(accept=False) == "beforeunload"
    assert await page.run("location.pathname") == "/"

    proxy.holds = "/nothing"
    await shown(page, ".whole b", "1 of 1")
    await page.run(leave)
    await shown_anew(page, "h1", "Jobs")


async def test_a_text_is_copied_on_a_page_by_plain_http_from_afar(
    server: Server, filled: Filled, page: Page
) -> None:
    asset = filled.get("/api/assets?page_size=1")["assets"][0]
    await opened(page, f"{server.url}/assets/{asset['id']}", asset["name"])
    await page.run(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined }),"
        " addEventListener('copy', () => globalThis.text = document.activeElement.value)"
    )

    await page.press("c")

    await until_true(page, f"globalThis.text === {json.dumps(asset['id'])}")
    assert await page.run("document.querySelectorAll('textarea').length") == 0
