"""Importing the SDK loads a client, and no server."""

import subprocess
import sys

import pytest

import asset_ledger
import asset_ledger.api.sdk.sync
import asset_ledger.errors
import asset_ledger.sync

HEAVY = (
    "eventsourcing",
    "aiohttp.web",
    "pydantic",
    "pydantic_settings",
    "aiosqlite",
    "cryptography",
    "sqlite3",
    "uvloop",
    "asset_ledger.api.backend",
    "asset_ledger.api.http",
    "asset_ledger.projections",
    "asset_ledger.ledger.service",
    "PIL",
    "numpy",
)
PROBE = "import sys\n{line}\nprint(*[name for name in {heavy} if name in sys.modules])"


def loaded(line: str) -> str:
    """Return the heavy modules that a new interpreter has loaded after this line."""
    probe = PROBE.format(line=line, heavy=HEAVY)
    finished = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    return finished.stdout.strip()


@pytest.mark.parametrize(
    "line",
    [
        "from asset_ledger import Asset, BaseNode, ProcessingContext, connect",
        "from asset_ledger.api.sdk import Asset",
        "from asset_ledger.sync import Asset, connect",
        "from asset_ledger.errors import UnknownAssetError",
        "from asset_ledger import connect; connect('http://127.0.0.1:7777')",
    ],
)
def test_an_sdk_import_loads_neither_a_server_nor_eventsourcing(line: str) -> None:
    assert loaded(line) == ""


def test_the_embedded_gateway_loads_eventsourcing_and_no_http_server() -> None:
    found = loaded("import asset_ledger.api.sdk.embedded").split()

    assert "eventsourcing" in found
    assert "asset_ledger.api.http" not in found


def test_the_short_import_paths_name_the_same_objects() -> None:
    assert asset_ledger.Asset is asset_ledger.api.sdk.Asset
    assert asset_ledger.sync.Asset is asset_ledger.api.sdk.sync.Asset
    assert asset_ledger.errors.SaveError is asset_ledger.api.sdk.SaveError
