"""The console's folding and its proofs, run in the browser under the policy of the page."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from asset_ledger.api.http.console import site
from tests.journeys.browser import browsing, needs_browser
from tests.journeys.server import Server

UNITS: Final = Path(__file__).with_name("units")

pytestmark = [needs_browser, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    server.start()
    yield server
    server.close()


async def run_unit(
    server: Server, profile: Path, name: str, argument: str, before: str = ""
) -> Any:
    """Return what a unit script answers for an argument; nothing else may happen in the page."""
    async with browsing(profile) as page:
        await page.open(f"{server.url}/jobs")
        await page.once("document.querySelector('.nav')", "true")
        unit = (UNITS / name).read_text().strip().removesuffix(";")
        script = f"{before}({unit})"
        answer = await page.run(f"{script}({json.dumps(f'/web/{site().digest}')}, {argument!r})")
        assert [each for each in page.complaints if "415" not in each] == []  # pictures of texts
        return answer


def record_job(url: str) -> None:
    """Record a job with sources, new labels, new bytes, a deletion, a restoration and an end."""
    with httpx.Client(base_url=url) as client:
        client.post("/api/jobs/j/start", json={"workflow_id": "w", "parameters": {"seed": 1}})
        ids: list[str] = []
        for n in range(4):
            query = f"name=a{n}.txt&job_id=j&node_id=n{n % 2}"
            sources = "".join(f"&derived_from={each}" for each in ids[-1:])
            made = client.post(
                f"/api/assets/content?{query}{sources}",
                content=b"%d" % n,
                headers={"Content-Type": "text/plain" if n % 2 else "image/png"},
            )
            ids.append(made.raise_for_status().json()["id"])
        patch = {"name": "b.txt", "tags": ["x"], "metadata": {"a": {"b": None}}, "duration": 2.5}
        client.patch(f"/api/assets/{ids[0]}", json=patch).raise_for_status()
        client.patch(f"/api/assets/{ids[0]}", json={"tags": None, "duration": None})
        client.put(f"/api/assets/{ids[1]}/content", content=b"new").raise_for_status()
        client.delete(f"/api/assets/{ids[2]}").raise_for_status()
        client.post(f"/api/assets/{ids[2]}/restore").raise_for_status()
        client.delete(f"/api/assets/{ids[3]}").raise_for_status()
        client.post("/api/jobs/j/finish", json={"status": "failed", "error": "why"})


async def test_the_state_at_every_event_is_what_the_api_answers(
    server: Server, tmp_path: Path
) -> None:
    record_job(server.url)
    answer = await run_unit(server, tmp_path / "profile", "fold.js", "j")
    assert answer == {"events": 12, "wrong": []}


async def test_a_changed_byte_names_the_step_that_does_not_hold(
    server: Server, tmp_path: Path
) -> None:
    checkpoints = []
    for _ in range(3):
        record_job(server.url)
        note = httpx.get(f"{server.url}/api/log/checkpoint").text.split("\n")
        checkpoints.append([int(note[1]), note[2]])
        httpx.post(f"{server.url}/api/log/key/rotate").raise_for_status()
    before = f"globalThis.checkpoints = {json.dumps(checkpoints)};"
    answer = await run_unit(
        server, tmp_path / "profile", "proof.js", "/api/jobs/j/proof", before=before
    )
    assert answer == {
        "events": answer["events"],
        "rotated": 3,
        "grown": ["holds", "consistency"] * 3,
        "key": "key",
        "leaf": "inclusion",
        "path": "inclusion",
        "short": "inclusion",
        "position": "inclusion",
        "root": "signature",
        "note": "signature",
    }
    assert answer["events"] > 30


async def test_a_running_job_grows_while_it_is_watched(server: Server, tmp_path: Path) -> None:
    async with browsing(tmp_path / "profile") as page, httpx.AsyncClient() as client:
        content = f"{server.url}/api/assets/content?job_id=g&node_id=n&name="
        await client.post(f"{server.url}/api/jobs/g/start")
        await page.open(f"{server.url}/jobs/g")
        shown = "document.querySelector('.read b')?.textContent"
        assert await page.once(f"{shown} === 'Event 1 of 1'", shown)
        await page.once("document.querySelector('.foot .dot.live')", "true")
        await client.post(f"{content}a.txt", content=b"a")
        await client.post(f"{content}b.txt", content=b"b")
        assert await page.once(f"{shown} === 'Event 3 of 3'", shown)
        assert await page.run("document.querySelectorAll('.tick').length") == 2
        assert page.complaints == []
