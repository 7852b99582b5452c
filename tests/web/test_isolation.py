"""What a page of another site can do with the console: neither frame it, open it, nor read it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server
from tests.web.files import MARKUP
from tests.web.filled import Filled, upload
from tests.web.test_previews import until_true

pytestmark = [pytest.mark.slow, needs_browser]


@asynccontextmanager
async def site(body: str) -> AsyncIterator[str]:
    """Serve one page on another port, which is another origin, and yield its address."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=body, content_type="text/html")

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://127.0.0.1:{1}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


async def test_a_page_elsewhere_cannot_frame_the_console(server: Server, page: Page) -> None:
    async with site(f'<iframe src="{server.url}/" onload="globalThis.loaded = 1"></iframe>') as url:
        await page.open(url)
        await until_true(page, "globalThis.loaded")
        seen = await page.run("document.querySelector('iframe').contentDocument === null")
        assert seen is True  # a frame that was refused has an opaque origin
    assert any("frame-ancestors" in each for each in page.complaints), page.complaints
    page.complaints.clear()


async def test_a_page_elsewhere_that_opens_the_console_has_no_hold_on_it(
    server: Server, page: Page
) -> None:
    async with site("<p>elsewhere</p>") as url:
        await page.open(url)
        await until_true(page, "document.body")
        gone = f"""new Promise((done) => {{
            globalThis.opened = window.open("{server.url}/jobs");
            const look = () => opened.closed ? done(true) : setTimeout(look, 20);
            look();
        }})"""
        asked = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = await page.command("Runtime.evaluate", expression=gone, **asked)
        assert answer["result"]["value"] is True  # Cross-Origin-Opener-Policy cut the two apart


@pytest.mark.parametrize(
    "use",
    [
        "Object.assign(document.createElement('script'), {{ src: {url} }})",
        "Object.assign(document.createElement('img'), {{ src: {url} }})",
        "Object.assign(document.createElement('link'), {{ rel: 'stylesheet', href: {url} }})",
    ],
)
async def test_a_page_elsewhere_can_use_no_content(
    server: Server, filled: Filled, page: Page, use: str
) -> None:
    script = upload(filled.client, b"globalThis.ran = 1", "text/javascript", {"name": "a.js"})
    url = repr(server.url + script["get_url"])
    async with site("<p>elsewhere</p>") as elsewhere:
        await page.open(elsewhere)
        await until_true(page, "document.body")
        failed = await page.run(
            f"new Promise((done) => {{ const e = {use.format(url=url)};"
            " e.onload = () => done('loaded'); e.onerror = () => done('refused');"
            " document.body.append(e); })"
        )
        assert failed == "refused"
        assert await page.run("globalThis.ran ?? null") is None
    page.complaints.clear()


async def test_a_page_elsewhere_can_neither_read_nor_write(
    server: Server, filled: Filled, page: Page
) -> None:
    before = filled.get("/api/assets", count="exact", page_size=1)["count"]
    async with site("<p>elsewhere</p>") as elsewhere:
        await page.open(elsewhere)
        for options in (
            "{}",
            "{ method: 'POST', body: 'x' }",
            "{ mode: 'no-cors', method: 'POST' }",
        ):
            answer = await page.run(
                f"fetch('{server.url}/api/assets?name=a', {options})"
                ".then((r) => r.text(), (e) => String(e))"
            )
            assert "face-" not in answer
    assert filled.get("/api/assets", count="exact", page_size=1)["count"] == before
    page.complaints.clear()


async def test_a_content_that_is_opened_in_a_tab_runs_nothing(
    server: Server, filled: Filled, page: Page
) -> None:
    made = upload(filled.client, MARKUP, "text/html", {"name": "page.html"})
    await page.open(f"{server.url}/jobs")
    await page.once("document.querySelector('tbody tr')", "1")
    await page.run(f"location.assign({made['get_url']!r})")  # becomes a download

    assert await page.run("[location.pathname, globalThis.ran ?? null]") == ["/jobs", None]
