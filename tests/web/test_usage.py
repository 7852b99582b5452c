"""Usage in the console: its numbers are those of the API, also in the file that it saves."""

from pathlib import Path
from typing import Final

import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server
from tests.web.filled import Filled, upload, wait_for_totals
from tests.web.test_gallery import whole
from tests.web.test_screens import click, opened, shown

pytestmark = [pytest.mark.slow, needs_browser]

MORE_THAN_A_PAGE: Final = 210
"""More groups than the page of usage loads at once."""


@pytest.mark.parametrize(
    ("path", "heading", "query"),
    [
        ("/usage", "Usage", {"group_by": "node_id"}),
        ("/nodes/node-1", "node-1", {"group_by": "job_id", "node_id": "node-1"}),
        ("/workflows/portraits", "portraits", {"group_by": "node_id", "workflow_id": "portraits"}),
    ],
)
async def test_usage_has_the_numbers_of_the_api(
    server: Server, filled: Filled, page: Page, path: str, heading: str, query: dict[str, str]
) -> None:
    await opened(page, f"{server.url}{path}", heading)

    for row in filled.get("/api/assets/usage", **query)["usage"]:
        text = await shown(page, "tbody tr", row["key"])
        assert str(row["count"]) in text
    await shown(page, ".chart + .key", query.get("node_id", "node-1") and "")


async def test_a_node_shows_its_numbers_and_newest_assets_under_the_filters(
    server: Server, filled: Filled, page: Page
) -> None:
    query = {"node_id": "node-1", "content_type": "text/"}
    await opened(page, f"{server.url}/nodes/node-1?content_type=text/", "node-1")
    (row,) = filled.get("/api/assets/usage", group_by="node_id", **query)["usage"]
    stats = await shown(page, ".stats", "largest")
    assert f"{row['count']} asset" in stats

    newest = filled.get("/api/assets", sort="-created_at", page_size=8, **query)["assets"]
    await shown(page, ".gridbox .tile")
    names = "[...document.querySelectorAll('.gridbox .name bdi')].map((each) => each.textContent)"
    assert await page.run(names) == [asset["name"] for asset in newest]
    await click(page, "tbody td a", "first")
    await click(page, ".tabrow a", "Assets")
    counted = filled.get("/api/jobs/first/assets", count="exact", **query)["count"]
    await shown(page, ".sub b", f"{counted} asset")


async def test_usage_without_a_filter_of_its_address_counts_more(
    server: Server, filled: Filled, page: Page
) -> None:
    await opened(page, f"{server.url}/usage?by=job_id&job_id=first&content_type=text/", "Usage")
    await shown(page, "tbody tr", "first")
    await page.once("document.querySelectorAll('tbody tr').length === 1", "1")
    await click(page, ".chip button[aria-label*='job first']")

    for row in filled.get("/api/assets/usage", group_by="job_id", content_type="text/")["usage"]:
        assert str(row["count"]) in await shown(page, "tbody tr", row["key"])
    assert await page.run("location.search") == "?by=job_id&content_type=text%2F"


async def test_usage_is_saved_as_csv_that_runs_no_formula(
    server: Server, filled: Filled, page: Page, tmp_path: Path
) -> None:
    upload(filled.client, b"12345", "text/plain", {"name": "a.txt", "node_id": "=cmd|'/c'!A1"})
    for n in range(MORE_THAN_A_PAGE):
        upload(filled.client, b"1", "text/plain", {"name": "b.txt", "node_id": f"more-{n}"})
    wait_for_totals(filled.client)
    await opened(page, f"{server.url}/usage", "Usage")
    await shown(page, "tbody tr", "=cmd")
    await page.save_to(tmp_path)
    await click(page, "button", "CSV")
    rows = whole(tmp_path, ".csv").read_text("utf-8").splitlines()

    api = filled.get("/api/assets/usage", group_by="node_id", page_size=1000)["usage"]
    assert len(rows) == len(api) + 1 > MORE_THAN_A_PAGE
    assert any("'=cmd|'/c'!A1" in row for row in rows)
    for row in api:
        if row["key"] and row["key"].startswith("node"):
            line = next(line for line in rows if line.startswith(row["key"]))
            assert str(row["bytes"]) in line.split(",")
            assert str(row["count"]) in line.split(",")
