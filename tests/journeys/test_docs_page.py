"""The page /docs in a browser."""

from pathlib import Path

import pytest

from asset_ledger.api.http.app import OPERATIONS
from tests.journeys.browser import browsing, needs_browser
from tests.journeys.server import Server, serving

pytestmark = [pytest.mark.slow, needs_browser]

DRAWN = "document.querySelectorAll('main details').length"
SHOWN = "[...document.querySelectorAll('main details summary')].map((each) => each.innerText)"
ROUTES = sum(len(entry.paths) for entry in OPERATIONS)


async def test_the_page_shows_every_operation_and_fetches_only_from_its_server(
    server: Server, tmp_path: Path
) -> None:
    async with browsing(tmp_path / "profile") as page:
        await page.open(f"{server.url}/docs")
        summaries = await page.once(f"{DRAWN} === {ROUTES}", SHOWN)

        for entry in OPERATIONS:
            path = entry.paths[0].replace("...}", "}")
            assert any(s.startswith(entry.method) and path in s for s in summaries), path
        assert sorted(page.fetched) == sorted(
            f"{server.url}{path}"
            for path in ("/docs", "/docs/docs.css", "/docs/docs.js", "/openapi.json")
        )
        assert page.complaints == []


async def test_a_link_opens_its_operation_and_a_search_narrows_the_list(
    server: Server, tmp_path: Path
) -> None:
    async with browsing(tmp_path / "profile") as page:
        await page.open(f"{server.url}/docs#create_asset")
        text = await page.once(
            "document.getElementById('create_asset')?.open",
            "document.getElementById('create_asset').innerText",
        )
        left = await page.run("""(() => {
            const find = document.getElementById("find");
            find.value = "post JOBS /start";
            find.dispatchEvent(new Event("input"));
            const left = document.querySelectorAll("main details:not([hidden])");
            return [...left].map((each) => each.id);
        })()""")

        assert "multipart/form-data" in text
        assert "201" in text
        assert left == ["start_job", "start_node"]
        assert page.complaints == []


async def test_the_page_needs_no_token_on_a_server_with_tokens(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--auth", "tokens") as server:
        async with browsing(tmp_path / "profile") as page:
            await page.open(f"{server.url}/docs")
            scope = await page.once(
                "document.getElementById('create_asset')",
                "document.getElementById('create_asset').textContent",
            )

            assert "Scope: write" in scope
            assert page.complaints == []
