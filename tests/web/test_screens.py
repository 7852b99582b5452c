"""Each screen of the console in a browser: what it shows is what the API answers, and no more."""

import json
from typing import Any, Final

import httpx
import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server, run
from tests.web.commands import copied_command, output
from tests.web.conftest import UNKNOWN
from tests.web.filled import Filled, upload
from tests.web.proxy import Proxy

pytestmark = [pytest.mark.slow, needs_browser]

SEAL: Final = ".about .seal, .panel .seal"


async def shown(page: Page, selector: str, text: str = "") -> str:
    """Wait until an element of this selector has a text, and return all of its text."""
    found = f"[...document.querySelectorAll({json.dumps(selector)})]"
    wanted = f"{found}.find((each) => each.textContent.includes({json.dumps(text)}))"
    return str(await page.once(wanted, f"{wanted}.textContent"))


async def opened(page: Page, url: str, heading: str) -> None:
    await page.open(url)
    await shown(page, "h1", heading)


async def followed(page: Page, url: str) -> None:
    """Open the assets, and wait until they are listed and their news is counted."""
    await opened(page, url, "Assets")
    await shown(page, ".foot", "Live")
    await shown(page, "[role=option] .name")


async def click(page: Page, selector: str, text: str = "") -> None:
    """Click the first element of this selector with this text, once it is there."""
    await shown(page, selector, text)
    await page.run(
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        f".find((each) => each.textContent.includes({json.dumps(text)})).click()"
    )


@pytest.mark.parametrize("query", ["", "?view=list", "?job_id=second", "?content_type=text/"])
async def test_assets_are_as_many_as_the_api_counts(
    server: Server, filled: Filled, page: Page, query: str
) -> None:
    await opened(page, f"{server.url}/{query}", "Assets")
    api = dict(part.split("=") for part in query[1:].split("&") if part and "view" not in part)
    total = filled.get("/api/assets", count="exact", page_size=1, **api)["count"]

    await shown(page, ".sub b", f"{total} asset")
    assert (
        await page.once(
            "document.querySelector('[role=option][aria-posinset]')",
            "Number(document.querySelector('[role=option]').getAttribute('aria-setsize'))",
        )
        == total
    )


async def test_the_panel_shows_an_asset_beside_the_gallery(
    server: Server, filled: Filled, page: Page
) -> None:
    asset = filled.get(f"/api/assets/{filled.assets[0]['id']}")
    await opened(page, f"{server.url}/?open={asset['id']}", "Assets")

    await shown(page, ".panel h2", "face-00")
    panel = await shown(page, ".panel", "a red fox")
    assert "node-0" in panel
    assert "chosen" in panel
    assert asset["digest"].removeprefix("sha256:")[:4] in panel
    await shown(page, SEAL, "Recorded and proven")


async def test_an_asset_is_sealed_and_shows_its_versions(
    server: Server, filled: Filled, page: Page
) -> None:
    asset = filled.changed
    await opened(page, f"{server.url}/assets/{asset['id']}", "notes.txt")

    seal = await shown(page, SEAL, "Recorded and proven")
    assert f"Event {asset['position']} of" in seal
    await shown(page, ".stage-box", "three")
    await shown(page, "h1 + button, .title", "v2")
    await page.open(f"{server.url}/assets/{asset['id']}?version=2&with=1")
    await shown(page, ".comparison ins, .diff .new", "three")
    await shown(page, ".diff .old", "two")


async def test_jobs_have_the_numbers_of_the_api(server: Server, filled: Filled, page: Page) -> None:
    await opened(page, f"{server.url}/jobs", "Jobs")
    for job in filled.get("/api/jobs")["jobs"]:
        row = await shown(page, "tbody tr", job["job_id"])
        assert str(job["assets"]) in row
        assert job["status"] in row.lower()
    await shown(page, "tbody tr", "out of memory")
    counts = filled.get("/api/jobs", count="status")["counts"]
    await shown(page, "button", f"Failed {counts['failed']}")
    await page.once("document.querySelector('tbody .thumbs img[src]')", "true")
    assert "Cancelled" not in await page.run("document.querySelector('.seg').textContent")
    for end in ("start", "finish"):
        body = {"status": "cancelled"} if end == "finish" else {}
        filled.client.post(f"/api/jobs/third/{end}", json=body).raise_for_status()
    await shown(page, ".seg button", "Cancelled 1")
    await page.run("""const real = fetch, waits = new Promise((go) => { globalThis.release = go; });
        globalThis.fetch = async (...given) => (await waits, real(...given)); null""")
    await click(page, ".fresh", "changed")
    await page.once("!document.querySelector('.fresh')", "true")
    assert "Cancelled 1" in await page.run("document.querySelector('.seg').textContent")
    await page.run("release()")
    await click(page, ".seg button", "Cancelled 1")
    await page.once("document.querySelectorAll('tbody tr').length === 1", "1")
    await shown(page, "tbody tr", "third")
    await click(page, ".seg button", "All")
    await shown(page, "tbody tr", "first")

    await click(page, "th button", "Bytes")
    by_bytes = [each["job_id"] for each in filled.get("/api/jobs", sort="-bytes")["jobs"]]
    await page.once("document.querySelector('th[aria-sort]')?.textContent.includes('Bytes')", "1")
    await page.once(
        f"document.querySelector('tbody tr a').textContent === {json.dumps(by_bytes[0])}", "1"
    )


TABS: Final = {
    "": (".replay", "node-3"),
    "?tab=assets": ("[role=option]", "face-29"),
    "?tab=lineage": (".dag", "node-3"),
    "?tab=events": ("tbody", "asset.created"),
    "?tab=parameters": ("main", "sdxl"),
    "?tab=compare&with=second": (".part", "They part at"),
}


@pytest.mark.parametrize("tab", TABS)
async def test_each_tab_of_a_job_shows_it(
    server: Server, filled: Filled, page: Page, tab: str
) -> None:
    await opened(page, f"{server.url}/jobs/first{tab}", "first")

    selector, text = TABS[tab]
    await shown(page, selector, text)
    stats = await shown(page, ".stats", "proven")
    events = filled.get("/api/jobs/first/history", limit=1000)["events"]
    assert f"{len(events)} events" in stats
    assert f"all {len(events)} proven" in stats


async def test_a_comparison_counts_as_the_api_does(
    server: Server, filled: Filled, page: Page
) -> None:
    answer = filled.get("/api/jobs/first/compare/second")
    await opened(page, f"{server.url}/jobs/first?tab=compare&with=second", "first")

    text = await shown(page, ".sub", "different")
    for status, word in (("same", "same"), ("different", "different"), ("only_b", "only there")):
        assert f"{answer['counts'].get(status, 0)} {word}" in text
    await shown(page, "tr.first", answer["first_divergence"]["name"])
    await click(page, ".sub label", "Show the same ones")
    rows = len(answer["rows"])
    await page.once(f"document.querySelectorAll('tbody tr').length === {rows}", "1")


async def test_the_ledger_has_the_size_of_its_checkpoint(
    server: Server, filled: Filled, page: Page
) -> None:
    size = filled.client.get("/api/log/checkpoint").text.split("\n")[1]
    await opened(page, f"{server.url}/ledger", "Ledger")

    await shown(page, ".box", f"{size} events")
    await shown(page, ".box", "signature holds")
    await shown(page, ".box", "generation 1")
    await shown(page, ".box", "Ready")
    await shown(page, ".box", "ok, 0 waiting")
    await shown(page, ".box", "Commit p99up to")
    await shown(page, "tbody tr", size)
    await click(page, "tbody a", "job.finished")
    await shown(page, ".chip", "job.finished")
    await page.once("document.querySelectorAll('tbody tr').length === 2", "1")
    assert await page.run("location.search") == "?topic=job.finished"


async def test_the_ledger_shows_its_webhooks(server: Server, filled: Filled, page: Page) -> None:
    unmatched = {"url": "https://example.com/hook", "topics": ["key.rotated"]}
    assert filled.client.post("/api/hooks", json=unmatched).status_code == 201
    await opened(page, f"{server.url}/ledger", "Ledger")

    await shown(page, ".box", "https://example.com/hooklive")


async def test_an_asset_that_is_not_there_is_said_to_be_unknown(
    server: Server, filled: Filled, page: Page
) -> None:
    await page.open(f"{server.url}/assets/{UNKNOWN}")

    detail = filled.client.get(f"/api/assets/{UNKNOWN}").json()["detail"]
    await shown(page, "main .failure", detail)


def first_hash(proof: Any) -> list[str]:
    return next(event["path"] for event in proof["events"] if event["path"])


def another(digest: str) -> str:
    """Return a digest with one other character at its start."""
    return ("A" if digest[0] != "A" else "B") + digest[1:]


def change_path(proof: Any) -> None:
    path = first_hash(proof)
    path[0] = another(path[0])


def change_leaf(proof: Any) -> None:
    leaf = proof["events"][-1]["leaf"]
    proof["events"][-1]["leaf"] = leaf[:-9] + another(leaf[-9]) + leaf[-8:]


def change_root(proof: Any) -> None:
    lines = proof["checkpoint"].split("\n")
    lines[2] = another(lines[2])
    proof["checkpoint"] = "\n".join(lines)


def change_size(proof: Any) -> None:
    lines = proof["checkpoint"].split("\n")
    lines[1] = str(int(lines[1]) + 1)
    proof["checkpoint"] = "\n".join(lines)


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (change_path, "inclusion"),
        (change_leaf, "inclusion"),
        (change_root, "signature"),
        (change_size, "signature"),
    ],
)
async def test_a_proof_that_was_changed_on_its_way_is_red_with_the_step(
    proxy: Proxy, filled: Filled, page: Page, change: Any, step: str
) -> None:
    def tamper(path: str, body: bytes) -> bytes:
        if not path.endswith("/proof") or not path.startswith("/api/assets/"):
            return body
        proof = json.loads(body)
        before = json.dumps(proof)
        change(proof)
        assert json.dumps(proof) != before
        return json.dumps(proof).encode()

    proxy.change = tamper
    await opened(page, f"{proxy.url}/assets/{filled.assets[4]['id']}", "face-04")
    await shown(page, ".seal.bad", "Proof failed")
    await click(page, ".seal.bad button", "Details")
    await shown(page, ".seal.bad", f"Step: {step}")


@pytest.mark.parametrize(("field", "value"), [("name", "other.png"), ("size", 7), ("tags", ["x"])])
async def test_an_asset_that_is_shown_otherwise_than_recorded_is_red(
    proxy: Proxy, filled: Filled, page: Page, field: str, value: Any
) -> None:
    path = f"/api/assets/{filled.assets[4]['id']}"

    def tamper(asked: str, body: bytes) -> bytes:
        return json.dumps(json.loads(body) | {field: value}).encode() if asked == path else body

    proxy.change = tamper
    await page.open(f"{proxy.url}/assets/{filled.assets[4]['id']}")
    await shown(page, ".seal.bad", f"what is shown is not what was recorded: {field}")


async def test_a_ledger_in_the_place_of_another_is_named(
    other: Server, proxy: Proxy, filled: Filled, page: Page
) -> None:
    await opened(page, f"{proxy.url}/ledger", "Ledger")
    await shown(page, ".box", "signature holds")
    proxy.upstream = other.url
    await opened(page, f"{proxy.url}/ledger", "Ledger")
    await shown(page, ".fork", "This ledger is not the one this browser saw")


async def test_a_token_signs_in_to_the_view_that_was_asked_for(
    with_tokens: Server, page: Page
) -> None:
    made = run("token", "create", "--data-dir", with_tokens.data_dir, "--user", "alice")
    token = made.stdout.strip()
    page.excused.append("401 (Unauthorized)")
    await page.open(f"{with_tokens.url}/jobs")
    await sign_in(page, "not a token")
    await shown(page, ".signin [role=alert]", "Request")
    await sign_in(page, token)
    await shown(page, "h1", "Jobs")

    assert await page.run("location.pathname") == "/jobs"
    command = await copied_command(page, "main")
    assert token not in command
    assert json.loads(output(command, ASSET_LEDGER_TOKEN=token))["jobs"] == []
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert token not in await page.run(kept)
    assert token not in " ".join(page.fetched) + with_tokens.errors
    await click(page, "button[aria-label='Sign out']")
    await shown(page, ".signin", "Sign in")


async def sign_in(page: Page, token: str) -> None:
    await shown(page, ".signin form")
    await page.run(
        f"document.querySelector('.signin input').value = {json.dumps(token)};"
        "document.querySelector('.signin form').requestSubmit()"
    )


async def test_a_deleted_asset_comes_back_by_undo(
    server: Server, filled: Filled, page: Page
) -> None:
    asset = filled.assets[7]
    path = f"/api/assets/{asset['id']}"
    await opened(page, f"{server.url}/?open={asset['id']}", "Assets")
    await click(page, ".panel button[aria-label=More]")
    await click(page, "[role=menuitem]", "Delete")
    await click(page, "dialog .danger", "Delete")
    await shown(page, "[role=status], .toast", "deleted.")
    await shown(page, ".panel", "Its history and proof are still here.")
    assert filled.client.get(path).status_code == 410

    await click(page, ".toast button, [role=status] button", "Undo")
    await shown(page, "[role=status], .toast", "restored.")
    assert filled.client.get(path).status_code == 200


@pytest.mark.parametrize("page_of", ["/assets/{}", "/?deleted=true&open={}"])
async def test_a_deleted_asset_is_shown_with_its_proof_and_can_be_restored(
    server: Server, filled: Filled, page: Page, page_of: str
) -> None:
    page.excused.append("410 (Gone)")
    asset = filled.assets[2]
    await page.open(server.url + page_of.format(filled.deleted))

    gone = await shown(page, ".main, .panel", "Its history and proof are still here.")
    assert "Deleted by 1, " in gone
    await shown(page, SEAL, "Recorded and proven")
    await shown(page, ".hist", "Deleted by")
    await click(page, ".asset .title button, .panel .acts button", "Restore")
    await shown(page, ".toast", f"{asset['name']} restored.")
    await shown(page, ".about .acts, .title button, .panel .acts button", "Download")
    assert "still here" not in await page.run("document.body.textContent")


async def test_deleted_assets_name_their_folder_and_offer_nothing_but_to_come_back(
    server: Server, filled: Filled, page: Page
) -> None:
    page.excused.append("410 (Gone)")
    folder = {"name": "Old takes", "content_type": "folder"}
    parent = filled.client.post("/api/assets", json=folder).raise_for_status().json()["id"]
    fields = {"parent_id": parent, "tags": "blurred"}
    made = [upload(filled.client, b"x", "text/plain", {"name": n, **fields}) for n in ("a", "b")]
    for asset in made:
        filled.client.delete(f"/api/assets/{asset['id']}").raise_for_status()
    await opened(page, f"{server.url}/assets/{made[0]['id']}", "a")

    await shown(page, ".details dd a[href*=parent_id]", "Old takes")
    await shown(page, ".details .tag", "blurred")
    assert not await page.run("document.querySelector('.details [aria-label*=tag]')")
    await page.press("e")
    assert not await page.run("document.querySelector('dialog')")

    await opened(page, f"{server.url}/?deleted=true&tag=blurred", "Assets")
    await shown(page, "[role=option] .name")
    for n in (1, 2):
        await page.run(f"document.querySelectorAll('.tick')[{n - 1}].click()")
        await shown(page, ".selection b", f"{n} selected")
    bar = await page.run("document.querySelector('.selection').textContent")
    assert "Delete" not in bar
    await click(page, ".selection button", "Restore")
    await shown(page, ".toast", "2 restored.")
    assert filled.get("/api/assets", tag="blurred", count="exact")["count"] == 2


async def test_the_picture_of_a_lineage_begins_at_its_asset(server: Server, page: Page) -> None:
    await page.resize(900, 700)
    with httpx.Client(base_url=server.url) as client:
        sources = [upload(client, b"x", "text/plain", {"name": f"{n}"})["id"] for n in range(20)]
        made = upload(client, b"y", "text/plain", {"name": "all", "derived_from": sources})
    await page.open(f"{server.url}/assets/{made['id']}?tab=lineage")

    box = "document.querySelector('.node.root')?.getBoundingClientRect()"
    await page.once(f"{box}?.top > 0 && {box}.bottom < 700", "1")


async def test_the_numbers_of_a_running_job_move_in_its_row(
    server: Server, filled: Filled, page: Page
) -> None:
    filled.client.post("/api/jobs/live/start", json={}).raise_for_status()
    await opened(page, f"{server.url}/jobs", "Jobs")
    await shown(page, ".foot", "Live")
    await shown(page, "tbody tr:first-child", "live")
    numbers = (
        "[...document.querySelectorAll('tbody tr:first-child td.n')].map((e) => e.textContent)"
    )
    for n in (1, 2):
        upload(filled.client, b"12345", "text/plain", {"name": f"{n}", "job_id": "live"})
        await page.once(f"String({numbers}).startsWith('{n},{5 * n} B,')", "1")

    filled.client.post("/api/jobs/live/finish", json={"status": "completed"}).raise_for_status()
    await shown(page, "tbody tr:first-child .pill", "Completed")
    await shown(page, ".fresh", "1 changed")


async def test_a_history_of_many_versions_begins_with_the_newest(
    server: Server, filled: Filled, page: Page
) -> None:
    asset = filled.assets[9]["id"]
    for n in range(210):
        body = {"name": f"take-{n}.png"}
        filled.client.patch(f"/api/assets/{asset}", json=body).raise_for_status()
    await opened(page, f"{server.url}/assets/{asset}", "take-209.png")

    history = await shown(page, ".versions", "211 versions")
    assert "take-209.png" in history
    assert "161 more" in history
    assert await page.run("document.querySelectorAll('.hist li').length") == 50
    await click(page, ".versions button", "more")
    await shown(page, ".versions", "111 more")
    assert await page.run("document.querySelectorAll('.hist li').length") == 100
