"""The seal and the bytes: what is shown is hashed in the browser and compared with the record."""

import subprocess
from typing import Any, Final

import pytest

from tests.journeys.browser import Page, needs_browser
from tests.journeys.server import Server
from tests.web.files import GOOD
from tests.web.filled import Filled, picture, upload
from tests.web.proxy import Change, Proxy, problem
from tests.web.test_screens import SEAL, click, opened, shown

pytestmark = [pytest.mark.slow, needs_browser]

SHOWN: Final = {
    "png": ".picture img",
    "wav": ".sound audio",
    "txt": ".lines li",
    "json": ".tree .leaf",
    "csv": ".sheet-table td",
    "bin": ".hex",
}
"""A content of each way to load bytes, and the element that shows it."""

OTHER: Final = {"png": picture(9, 9, 9), "json": b'{"caption": "a grey cat"}'}
"""Bytes of the same kind. Those of the others are the recorded ones with a byte more."""


def recorded(filled: Filled, kind: str) -> dict[str, Any]:
    file = GOOD[kind]
    made: dict[str, Any] = upload(
        filled.client, file.content, file.content_type, {"name": file.name}
    )
    return made


def replacing(content: str, other: bytes) -> Change:
    """Return a change that puts other bytes in the place of those of a content."""
    return lambda path, body: other if path == content else body


async def test_other_bytes_under_a_true_asset_are_red(
    proxy: Proxy, filled: Filled, page: Page
) -> None:
    for kind, element in SHOWN.items():
        asset = recorded(filled, kind)
        address = f"{proxy.url}/assets/{asset['id']}"
        await opened(page, address, asset["name"][:4])
        await shown(page, element)
        await shown(page, SEAL, "Recorded and proven")

        other = OTHER.get(kind, GOOD[kind].content + b" ")
        proxy.change = replacing(f"/api/assets/{asset['id']}/content", other)
        await opened(page, address, asset["name"][:4])
        await shown(page, ".seal.bad", "the bytes shown are not those that were recorded")
        await click(page, ".seal.bad button", "Details")
        await shown(page, ".seal.bad", "Step: content")
        proxy.change = lambda path, body: body


async def test_the_details_have_the_digest_of_the_bytes_that_are_shown(
    server: Server, filled: Filled, page: Page
) -> None:
    asset = filled.changed
    old = filled.get(f"/api/assets/{asset['id']}", version=1)
    for version, digest in (("", asset["digest"]), ("?version=1", old["digest"])):
        await opened(page, f"{server.url}/assets/{asset['id']}{version}", "notes.txt")
        await shown(page, SEAL, "Recorded and proven")
        await click(page, ".seal button", "Details")
        await shown(page, ".seal dd", "SHA-256 of what is shown")
        computed = await page.run("document.querySelector('.seal dd .id bdi').title")
        assert computed == digest
    await opened(page, f"{server.url}/?open={asset['id']}", "Assets")
    await click(page, ".panel .seal button", "Details")
    await shown(page, ".panel .seal dd", "not checked here")


async def test_bytes_that_are_too_many_have_the_command_that_checks_them(
    server: Server, filled: Filled, page: Page
) -> None:
    log = b"a line of a long log\n" * 450_000
    asset = upload(filled.client, log, "text/plain", {"name": "long.log"})
    await opened(page, f"{server.url}/assets/{asset['id']}", "long")
    assert "checked here without its bytes" in await shown(page, SEAL, "Recorded and proven")
    await click(page, ".seal button", "Details")
    await shown(page, ".seal dd", "too large to check here")
    command = await shown(page, ".seal dd .mono", "sha256sum")

    printed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert printed.stdout.split()[0] == asset["digest"].removeprefix("sha256:")


async def test_bytes_that_cannot_be_loaded_are_named(
    proxy: Proxy, filled: Filled, page: Page
) -> None:
    asset = recorded(filled, "txt")
    page.excused.append(f"/api/assets/{asset['id']}/content")
    cut = f"/api/assets/{asset['id']}/content"
    proxy.instead = lambda path: problem(503, "busy", "try again") if path == cut else None
    await opened(page, f"{proxy.url}/assets/{asset['id']}", "note")
    await shown(page, SEAL, "Recorded and proven")
    await click(page, ".seal button", "Details")
    await shown(page, ".seal dd", "could not be loaded")
