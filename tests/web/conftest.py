"""A server with two jobs, and a page that complains about nothing and asks no other server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest

from tests.journeys.browser import Page, connected, running_browser
from tests.journeys.server import PATIENCE, Server, serving
from tests.web.filled import Filled, fill
from tests.web.proxy import Proxy, proxying

UNKNOWN: Final = "0" * 32
"""The id of no asset."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data") as server:
        yield server


@pytest.fixture
def filled(server: Server) -> Iterator[Filled]:
    """Yield what was recorded on the server: two jobs of one workflow, and some 60 assets."""
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        yield fill(client)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Server]:
    """Yield a server with another ledger."""
    with serving(tmp_path / "other") as server:
        yield server


@pytest.fixture
def with_tokens(tmp_path: Path) -> Iterator[Server]:
    """Yield a server that asks for tokens."""
    with serving(tmp_path / "tokens", "--auth", "tokens") as server:
        yield server


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    """Yield a proxy before the server. Ask for it before `page`, which needs it to the end."""
    async with proxying(server.url) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a browser that all tests of this process share."""
    with running_browser(tmp_path_factory.mktemp("profile")) as address:
        yield address


@pytest.fixture
async def page(browser: str) -> AsyncIterator[Page]:
    """Yield a page. It fails the test for any output of the console, and any request elsewhere."""
    async with connected(browser) as page:
        await page.private()
        yield page
        await page.run("1")  # takes in what the browser reported meanwhile
        left = [each for each in page.complaints if not any(e in each for e in page.excused)]
        assert [each for each in left if not _failed_picture(each)] == []
        assert {urlsplit(url).hostname for url in page.fetched if not _local(url)} <= {"127.0.0.1"}


def _failed_picture(complaint: str) -> bool:
    """Tell whether a picture or the unknown asset was refused, which a browser reports."""
    if "GPU stall due to ReadPixels" in complaint:  # of the software that stands for a GPU
        return True
    failed = complaint.startswith("Failed to load resource")
    refused = ("/thumbnail", "/placeholder", "/peaks", f"/{UNKNOWN}")
    return failed and any(each in complaint for each in refused)


def _local(url: str) -> bool:
    return url.startswith(("blob:", "about:", "data:"))  # data: the controls of a player
