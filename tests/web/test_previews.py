"""The preview of each kind of content: it shows what it can, and nothing in it runs."""

import json
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import PATIENCE, serving
from tests.web.files import BROKEN, GOOD, ODD, SVG, File
from tests.web.filled import picture, upload
from tests.web.test_screens import click, shown

pytestmark = [pytest.mark.slow, needs_browser]

SHOWN: Final = {
    "png": ".picture img",
    "svg": ".picture img",
    "wav": ".sound .wave rect",
    "webm": "video",
    "txt": ".lines li",
    "html": ".lines li",
    "json": ".tree .branch .leaf",
    "csv": ".sheet-table td",
    "pdf": "iframe[src^=blob], .refused",
    "glb": ".model canvas, canvas",
    "stl": ".model canvas, canvas",
    "bin": ".hex",
}
"""The element that shows each kind. A browser without a viewer for PDF offers a download."""

READY: Final = {
    "png": "document.querySelector('.picture img')?.naturalWidth === 48",
    "svg": "document.querySelector('.picture img')?.naturalWidth === 90",
    "webm": "document.querySelector('video')?.readyState > 1",
    "wav": "document.querySelector('audio')?.duration > 1",
}
"""What the element of a kind has loaded."""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Yield a client of a server that all of these tests share."""
    with (
        serving(tmp_path_factory.mktemp("previews") / "data") as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
    ):
        yield client


def recorded(client: httpx.Client, file: File) -> str:
    """Record a file, and return the address of its page."""
    labels = {"name": file.name}
    made = upload(client, file.content, file.content_type, labels)
    return f"{str(client.base_url).rstrip('/')}/assets/{made['id']}"


async def nothing_ran(page: Page) -> None:
    """Check that no script ran, no markup was made of text, and the page is not blank."""
    assert await page.run("globalThis.ran ?? null") is None
    assert await page.run("document.querySelectorAll('#app script, #app p > img').length") == 0
    assert await page.run("document.querySelector('main h1').textContent.length") > 0


@pytest.mark.parametrize("kind", GOOD)
async def test_each_kind_of_content_has_its_preview(
    gallery: httpx.Client, page: Page, kind: str
) -> None:
    await page.open(recorded(gallery, GOOD[kind]))

    await shown(page, SHOWN[kind])
    if kind in READY:
        await until_true(page, READY[kind])
    await nothing_ran(page)


async def until_true(page: Page, condition: str) -> None:
    """Wait until an expression of JavaScript is true, of which the document may not tell."""
    await page.run(
        f"new Promise((done) => {{ const look = () => {condition} ? done()"
        " : setTimeout(look, 20); look(); })"
    )


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_file_offers_its_download(
    gallery: httpx.Client, page: Page, kind: str
) -> None:
    await page.open(recorded(gallery, BROKEN[kind]))

    text = await shown(page, ".refused", "Download")
    assert "No preview" in text or "There is no preview" in text
    await nothing_ran(page)
    page.complaints.clear()  # browsers report a thumbnail that cannot be drawn


@pytest.mark.parametrize("kind", ODD)
async def test_an_odd_file_neither_runs_nor_stops_the_page(
    gallery: httpx.Client, page: Page, kind: str
) -> None:
    file = ODD[kind]
    await page.open(recorded(gallery, file))

    await shown(page, "h1", file.name.replace("\u202e", "U+202E")[:6])
    await shown(page, ".viewer, .refused")
    await nothing_ran(page)
    await click(page, ".nav a[href='/jobs']")
    await shown(page, "h1", "Jobs")


async def test_a_hidden_character_of_a_text_is_named(gallery: httpx.Client, page: Page) -> None:
    await page.open(recorded(gallery, ODD["bidi text"]))

    assert "aU+202EbU+0000cU+200Bd" in await shown(page, ".lines li", "U+")


async def test_cells_are_texts(gallery: httpx.Client, page: Page) -> None:
    await page.open(recorded(gallery, ODD["formulas"]))

    assert await shown(page, ".sheet-table td", "=cmd") == "=cmd|'/c calc'!A1"


async def test_json_folds(gallery: httpx.Client, page: Page) -> None:
    await page.open(recorded(gallery, GOOD["json"]))
    await shown(page, ".tree", "a red fox")

    await click(page, ".tree button[aria-expanded=true]")
    await shown(page, ".tree button[aria-expanded=false]", "1 member")


async def test_an_svg_has_its_source_and_is_only_that_when_it_is_large(
    gallery: httpx.Client, page: Page
) -> None:
    await page.open(recorded(gallery, GOOD["svg"]))
    await shown(page, ".picture img")
    await click(page, ".seg button", "Source")
    await shown(page, ".lines li", "<script>")
    await nothing_ran(page)
    await click(page, ".seg button", "Picture")
    await until_true(page, READY["svg"])

    large = SVG.replace(b"</svg>", b"<!--" + b"x" * 2_000_000 + b"--></svg>")
    await page.open(recorded(gallery, File("large.svg", "image/svg+xml", large)))
    await shown(page, ".lines li", "<script>")
    assert await page.run("document.querySelector('.picture') === null")


async def test_an_svg_is_drawn_in_its_tile_and_a_small_picture_is_not_enlarged(
    gallery: httpx.Client, page: Page
) -> None:
    small = File("small.png", "image/png", picture(1, 2, 3))
    for file, fit in ((GOOD["svg"], "contain"), (small, "scale-down")):
        recorded(gallery, file)
        await page.open(f"{str(gallery.base_url).rstrip('/')}/?name={file.name}")
        image = "document.querySelector('#asset-0 .face img:not(.waiting)')"
        await until_true(page, f"{image}?.naturalWidth > 0")

        assert await page.run(f"getComputedStyle({image}).objectFit") == fit
        await nothing_ran(page)


async def test_a_text_of_50_mb_opens_with_its_first_lines(
    gallery: httpx.Client, page: Page
) -> None:
    text = b"".join(b"line %08d of a long log\n" % n for n in range(1_850_000))
    await page.open(recorded(gallery, File("long.log", "text/plain", text)))

    await shown(page, ".lines li", "line 00000000")
    before = await page.run("document.querySelectorAll('.lines li').length")
    await click(page, ".more-text button", "Load more")
    await until_true(page, f"document.querySelectorAll('.lines li').length > {before}")


async def test_two_pictures_are_compared_by_a_slider(gallery: httpx.Client, page: Page) -> None:
    address = recorded(gallery, GOOD["png"])
    path = f"/api/assets/{address.rsplit('/', 1)[1]}/content"
    gallery.put(path, content=picture(1, 2, 3)).raise_for_status()

    await page.open(f"{address}?version=2&with=1")
    await shown(page, ".comparison [role=slider], .comparison .handle, .slider")
    await page.once("document.querySelectorAll('main img').length >= 2", "1")


ZOOM: Final = """(() => {
    const box = document.querySelector(".picture").getBoundingClientRect();
    const image = document.querySelector(".picture img").getBoundingClientRect();
    const [x, y] = [box.left + box.width * 0.6, box.top + box.height * 0.5];
    return { x, y, part: [(x - image.left) / image.width, (y - image.top) / image.height],
        width: image.width };
})()"""


@pytest.mark.parametrize("way", ["wheel", "pinch"])
async def test_zoom_keeps_the_point_under_the_pointer(
    gallery: httpx.Client, page: Page, way: str
) -> None:
    await page.open(recorded(gallery, GOOD["png"]))
    await until_true(page, READY["png"])
    before = await page.run(ZOOM)
    pinch = {"modifiers": 2} if way == "pinch" else {}  # browsers report a pinch as Ctrl and wheel
    await page.mouse("mouseWheel", before["x"], before["y"], deltaX=0, deltaY=-240, **pinch)
    await until_true(page, f"({ZOOM}).width > {before['width'] * 1.3}")

    after = await page.run(ZOOM)
    assert after["part"] == pytest.approx(before["part"], abs=0.01)


async def test_keys_zoom_a_picture_and_fit_it_again(gallery: httpx.Client, page: Page) -> None:
    await page.open(recorded(gallery, GOOD["png"]))
    await until_true(page, READY["png"])
    width = (await page.run(ZOOM))["width"]

    await page.press("+")
    await until_true(page, f"({ZOOM}).width > {width * 1.2}")
    await page.press("0")
    await until_true(page, f"Math.abs(({ZOOM}).width - {width}) < 1")


@pytest.mark.parametrize("kind", ["html", "svg", "pdf"])
async def test_a_content_that_is_opened_itself_runs_nothing(
    gallery: httpx.Client, page: Page, kind: str
) -> None:
    file = GOOD[kind]
    made = upload(gallery, file.content, file.content_type, {"name": file.name})
    answer = gallery.get(f"/api/assets/{made['id']}/content")

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    await page.open(f"{str(gallery.base_url).rstrip('/')}/jobs")
    await shown(page, "h1", "Jobs")
    await page.run(
        "document.body.append(Object.assign(document.createElement('img'), {"
        f" src: {json.dumps(made['get_url'])} }}))"
    )
    assert await page.run("globalThis.ran ?? null") is None
