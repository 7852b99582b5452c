"""What the console shows of damage, unknown callers, rebuilds, proofs and interrupted uploads."""

import json
import os
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.api.damage import content_file, flip
from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server, run, serving
from tests.web.filled import Filled, upload
from tests.web.proxy import Proxy
from tests.web.test_gallery import whole
from tests.web.test_previews import until_true
from tests.web.test_screens import click, opened, shown, sign_in

pytestmark = [pytest.mark.slow, needs_browser]


async def test_damage_is_shown_on_the_ledger_and_where_the_content_is_wanted(
    server: Server, page: Page, tmp_path: Path
) -> None:
    with httpx.Client(base_url=server.url) as client:
        asset = upload(client, b"x" * 100_000, "application/x-unknown", {"name": "a.bin"})
        flip(50_000)(content_file(tmp_path / "data", large=True))
        with suppress(httpx.HTTPError):
            client.get(asset["get_url"])
    page.excused.append(asset["get_url"])

    await opened(page, f"{server.url}/ledger", "Ledger")
    await shown(page, ".box .bad", "1 damaged: run asset-ledger scrub")
    await opened(page, f"{server.url}/assets/{asset['id']}", "a.bin")
    await click(page, ".title button[aria-label=Download]")
    await shown(page, ".toasts", "damaged")
    await shown(page, ".toasts", "Request")
    assert await page.run("location.pathname") == f"/assets/{asset['id']}"


async def test_a_revoked_token_asks_for_another_and_shows_the_same_view(
    with_tokens: Server, page: Page
) -> None:
    page.excused += ["401 (Unauthorized)", "/api/events/stream"]  # which ends with the token
    first, second = (new_token(with_tokens, "alice") for _ in range(2))
    auth = {"Authorization": f"Bearer {first}"}
    with httpx.Client(base_url=with_tokens.url, headers=auth) as client:
        upload(client, b"x", "text/plain", {"name": "kept.txt", "job_id": "j"})
    await page.open(f"{with_tokens.url}/?job_id=j&view=list")
    await sign_in(page, first)
    await shown(page, ".c-name", "kept.txt")
    listed = run("token", "list", "--json", "--data-dir", with_tokens.data_dir)
    made = [json.loads(line) for line in listed.stdout.splitlines()]
    run("token", "revoke", made[0]["id"], "--data-dir", with_tokens.data_dir)

    await page.run("document.querySelector('.nav a[href=\"/jobs\"]').click()")
    await shown(page, ".signin", "Your token is not valid any more.")
    await sign_in(page, second)
    await shown(page, "tbody tr", "j")
    assert await page.run("location.pathname") == "/jobs"


def new_token(server: Server, user: str, *scopes: str) -> str:
    """Create a token on a server, and return it."""
    wanted = [part for scope in scopes for part in ("--scope", scope)]
    made = run("token", "create", "--data-dir", server.data_dir, "--user", user, *wanted)
    return made.stdout.strip()


async def test_without_the_scope_audit_there_is_a_reason_and_no_seal(
    with_tokens: Server, page: Page
) -> None:
    page.excused.append("401 (Unauthorized)")
    writer, reader = new_token(with_tokens, "eve"), new_token(with_tokens, "eve", "read")
    auth = {"Authorization": f"Bearer {writer}"}
    with httpx.Client(base_url=with_tokens.url, headers=auth) as client:
        made = upload(client, b"x", "text/plain", {"name": "a.txt", "job_id": "j"})
    await page.open(f"{with_tokens.url}/assets/{made['id']}")
    await sign_in(page, reader)

    await shown(page, ".seal.quiet", "Your token does not have the scope audit")
    await page.run("document.querySelector('.nav a[href=\"/ledger\"]').click()")
    await shown(page, "tbody tr", "a.txt")  # one's own events need no audit
    assert await page.run("document.querySelectorAll('.failure').length") == 0


async def test_a_rotated_key_is_followed_and_named(
    server: Server, filled: Filled, page: Page
) -> None:
    address = f"{server.url}/assets/{filled.assets[4]['id']}"
    await opened(page, address, "face-04")
    await shown(page, ".seal", "Recorded and proven")
    filled.client.post("/api/log/key/rotate").raise_for_status()
    upload(filled.client, b"later", "text/plain", {"name": "later.txt"})
    await opened(page, address, "face-04")
    await shown(page, ".seal", "Recorded and proven")
    await click(page, ".seal button", "Details")

    await shown(page, ".seal", "1 rotation followed")


async def test_the_audit_bundle_is_downloaded_and_its_verifier_holds(
    server: Server, filled: Filled, page: Page, tmp_path: Path
) -> None:
    await opened(page, f"{server.url}/jobs/first", "first")
    await page.save_to(tmp_path / "saved")
    await click(page, ".head button", "Audit bundle")
    await click(page, "dialog a", "Download the bundle")
    with zipfile.ZipFile(whole(tmp_path / "saved", ".zip")) as packed:
        packed.extractall(tmp_path / "bundle")
    (verifier,) = (tmp_path / "bundle").rglob("verify.py")

    done = subprocess.run(
        [sys.executable, verifier], cwd=verifier.parent, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


async def test_a_rebuild_is_watched_to_its_new_generation(
    server: Server, filled: Filled, page: Page
) -> None:
    await opened(page, f"{server.url}/ledger", "Ledger")
    await shown(page, ".box", "generation 1")
    await click(page, ".box button", "Rebuild")
    await click(page, "dialog button", "Rebuild")

    await shown(page, ".box", "generation 2")
    await shown(page, ".box", "Rebuilt")
    assert filled.get("/api/projections")["serving"]["generation"] == 2


async def test_the_command_of_an_empty_ledger_makes_its_first_asset_appear(
    server: Server, page: Page, tmp_path: Path
) -> None:
    await opened(page, server.url, "Assets")
    command = await shown(page, ".empty .command pre, .command pre", "curl")
    await shown(page, ".foot", "Live")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True)

    await until_true(
        page,
        "document.querySelector('#asset-0 .name') || document.querySelector('.fresh')?.click()",
    )


async def test_the_commands_of_an_empty_ledger_take_the_token_from_the_environment(
    with_tokens: Server, page: Page
) -> None:
    page.excused.append("401 (Unauthorized)")
    token = new_token(with_tokens, "alice")
    await page.open(with_tokens.url)
    await sign_in(page, token)
    curl = await shown(page, ".command pre", "$ASSET_LEDGER_TOKEN")
    await click(page, ".empty .seg button", "Python")
    python = await shown(page, ".command pre", "asset_ledger")
    environment = {**os.environ, "ASSET_LEDGER_TOKEN": token}
    for command in (["bash", "-c", curl], [sys.executable, "-c", python]):
        subprocess.run(command, env=environment, check=True, capture_output=True)

    await until_true(
        page,
        "document.querySelector('#asset-1 .name') || document.querySelector('.fresh')?.click()",
    )
    assert token not in await page.run("document.documentElement.outerHTML")


def files(folder: Path, number: int) -> list[str]:
    folder.mkdir()
    paths = [folder / f"file-{n:03}.txt" for n in range(number)]
    for n, path in enumerate(paths):
        path.write_text(f"content {n}\n" * 200)
    return [str(path) for path in paths]


async def choose(page: Page, paths: list[str]) -> None:
    """Choose files in the dialog that uploads."""
    await click(page, "button[aria-label=Upload]")
    await shown(page, "dialog", "Drop files")
    document = await page.command("DOM.getDocument")
    named = {"nodeId": document["root"]["nodeId"], "selector": "dialog input[type=file]"}
    node = await page.command("DOM.querySelector", **named)
    await page.command("DOM.setFileInputFiles", files=paths, nodeId=node["nodeId"])


async def test_a_panel_that_cannot_be_loaded_ahead_is_no_error(
    server: Server, filled: Filled, page: Page
) -> None:
    page.excused.append("ERR_BLOCKED_BY_CLIENT")
    await opened(page, f"{server.url}/jobs", "Jobs")
    await page.command("Network.setBlockedURLs", urls=["*/parts/panel.js"])
    await click(page, ".nav a[href='/']")
    await shown(page, "[role=option] .name")

    pictures = "document.querySelectorAll('[role=option] img:not(.waiting)')"
    await until_true(page, f"{pictures}.length > 3")


async def test_200_files_are_recorded_once_each_though_the_server_is_killed_meanwhile(
    proxy: Proxy, server: Server, page: Page, tmp_path: Path
) -> None:
    page.excused.append("Failed to load resource")
    await opened(page, proxy.url, "Assets")
    await choose(page, files(tmp_path / "folder", 200))
    await until_true(page, "parseInt(document.querySelector('.whole b')?.textContent) > 5")
    server.kill()
    proxy.down = True
    await shown(page, ".files li.pausing, .files li.failed, .strip")
    with serving(server.data_dir) as again:
        proxy.upstream, proxy.down = again.url, False
        await shown(page, ".whole b", "200 of 200")
        names = [
            asset["name"]
            for asset in httpx.get(f"{again.url}/api/assets?page_size=1000").json()["assets"]
        ]
        await page.open("about:blank")
    assert sorted(names) == [f"file-{n:03}.txt" for n in range(200)]
