"""Names, ids and errors that would run or break out of their place: texts, read in full."""

import json
from typing import Final
from urllib.parse import quote

import httpx
import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import PATIENCE, Server
from tests.web.filled import HOSTILE, Filled, picture, upload, wait_for_totals
from tests.web.test_screens import click, opened, shown

pytestmark = [pytest.mark.slow, needs_browser]

LONGEST: Final = 1024
"""Characters of the id of a job, a node or a workflow."""

BROKEN_OUT: Final = """[globalThis.ran ?? null,
    document.querySelectorAll("#app script, #app b > b, #app p > img").length,
    [document.title, document.body.textContent, ...[...document.querySelectorAll("*")].flatMap(
        (each) => ["title", "alt", "aria-label", "aria-valuetext"].map((name) =>
            each.getAttribute(name)))].some((text) => text?.includes("\u202e")),
    document.documentElement.scrollWidth > innerWidth]"""
"""What ran, what became markup, whether a character reorders text, whether a text has no room."""


async def only_texts(page: Page, path: str) -> None:
    """Check that nothing of what the page shows runs, is markup, or leaves its place."""
    assert await page.run(BROKEN_OUT) == [None, 0, False, False], path


def visible(text: str) -> str:
    return text.replace("\u202e", "U+202E")


async def test_names_are_text_on_every_screen(server: Server, filled: Filled, page: Page) -> None:
    made = []
    for name in HOSTILE:
        labels = {"node_id": name[:60], "job_id": "hostile", "name": name}
        asset = upload(filled.client, picture(1, 2, 3), "image/png", labels)
        patch = {"tags": [name[:60]], "metadata": {name: name, "list": [name]}}
        made.append(filled.client.patch(f"/api/assets/{asset['id']}", json=patch).json())
    broken = {"name": "<b>broken</b>.png", "job_id": "hostile"}
    html = b"<script>globalThis.ran = 'content'</script>"
    made.append(upload(filled.client, html, "image/png", broken))
    paths = ["/?job_id=hostile", "/?job_id=hostile&view=list", "/jobs/hostile", "/usage", "/ledger"]
    paths += [f"/assets/{asset['id']}" for asset in made]

    for path in paths:
        await page.open(server.url + path)
        await page.once("document.querySelector('main h1:not(.vh), [role=option], tbody tr')", "1")
        await only_texts(page, path)


@pytest.mark.parametrize(
    "name", ["gnp.\u202ecat.txt", "<i>a</i>.txt", "__proto__", "cut off here.jpg"]
)
async def test_a_name_is_read_in_full(
    server: Server, filled: Filled, page: Page, name: str
) -> None:
    asset = upload(filled.client, b"x", "text/plain", {"name": name})

    await page.open(f"{server.url}/assets/{asset['id']}")
    await shown(page, "h1", name.replace("\u202e", "U+202E")[:6])
    title = json.dumps(name.replace("\u202e", "U+202E"))
    await page.once(f"document.title.startsWith({title})", "1")
    drawn = "document.querySelector('h1').innerText.replaceAll('\\n', '')"
    assert await page.run(drawn) == json.loads(title)


def recorded_jobs(client: httpx.Client) -> None:
    """Record a failed job of each text, which is its id, its workflow, its node and its error."""
    for text in HOSTILE:
        name = text[:LONGEST]
        start = {"workflow_id": name, "parameters": {name: [name]}}
        path = f"/api/jobs/{quote(name, safe='')}"
        client.post(f"{path}/start", json=start).raise_for_status()
        ids = {"job_id": name, "node_id": name, "workflow_id": name}
        upload(client, b"x", "text/plain", {"name": "a.txt", **ids})
        end = {"status": "failed", "error": f"{text}\nsecond line"}
        client.post(f"{path}/finish", json=end).raise_for_status()
    wait_for_totals(client)


async def test_ids_and_errors_of_jobs_are_texts_on_every_screen(server: Server, page: Page) -> None:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        recorded_jobs(client)
    await opened(page, f"{server.url}/jobs", "Jobs")
    for text in HOSTILE:
        await shown(page, "tbody a.strong", visible(text[:LONGEST]))
        await shown(page, "tbody .sub2", visible(text))
    await only_texts(page, "/jobs")

    for text in HOSTILE:
        name, job = visible(text[:LONGEST]), f"/jobs/{quote(text[:LONGEST], safe='')}"
        await opened(page, server.url + job, name)
        await shown(page, ".this .event", visible(text))
        await only_texts(page, job)
        await click(page, ".tabrow a", "Parameters")
        await shown(page, ".errorbox", visible(text))
        await only_texts(page, f"{job}?tab=parameters")
        await click(page, ".crumb a", name)
        await shown(page, "tbody a.strong", name)
        await shown(page, ".chart + .key", name)
        await page.run("document.querySelector('.chart').focus()")
        await page.press("End")
        await shown(page, ".chart .tip", name)
        await only_texts(page, f"/workflows/{name}")


@pytest.mark.parametrize("dots", [".", ".."])
async def test_ids_of_dots_have_their_screens(
    server: Server, filled: Filled, page: Page, dots: str
) -> None:
    ids = {"job_id": dots, "node_id": dots, "workflow_id": dots}
    upload(filled.client, b"x", "text/plain", {"name": "a.txt", **ids})
    await opened(page, f"{server.url}/jobs", "Jobs")
    await click(page, f"tbody tr:has(a[href='/jobs/%7F{dots}']) a.strong", dots)
    await shown(page, ".transport .read b", "Event 1 of 1")
    await page.open(await page.run("location.href"))
    await shown(page, ".lane-label b", dots)
    await click(page, ".crumb a", dots)
    await shown(page, "h1", f"Workflow {dots}")
    await shown(page, "tbody a.strong", dots)
    await page.open(f"{server.url}/nodes/%7F{dots}")
    await shown(page, "h1", f"Node {dots}")


async def test_a_path_that_is_not_percent_encoded_text_is_no_page(
    server: Server, page: Page
) -> None:
    await opened(page, f"{server.url}/jobs", "Jobs")
    await page.run("history.pushState({}, '', '/jobs/%ff'); dispatchEvent(new Event('popstate'))")

    await shown(page, "main", "There is no page here.")
