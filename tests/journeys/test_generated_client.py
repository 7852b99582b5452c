"""A client that a stranger generates from our description works, with nothing of ours in it."""

import importlib
import io
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import urlopen

import pytest

from tests.journeys.server import PATIENCE, Server, run, serving

pytestmark = pytest.mark.slow

TOOLS = Path(sys.executable).parent
BINARY = "application/octet-stream"
NAMELESS = ("application/zip", "image/webp", "application/x-ndjson")
CONFIG = f"content_type_overrides: {{{', '.join(f'{kind}: {BINARY}' for kind in NAMELESS)}}}"
"""The generator knows bytes by one name only."""


def generated(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A client made of what the server says of itself; one warning would fail it."""
    with urlopen(f"{server.url}/openapi.json") as answer:
        (folder / "openapi.json").write_bytes(answer.read())
    (folder / "config.yml").write_text(CONFIG, "ascii")
    command = f"{TOOLS}/openapi-python-client generate --fail-on-warning --meta none"
    command += " --output-path stranger"
    subprocess.run(
        [*command.split(), "--config", "config.yml", "--path", "openapi.json"],
        cwd=folder,
        env={**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module("stranger")


def operation(client: ModuleType, name: str) -> Any:
    """One operation of the client: a module with `sync` and `sync_detailed`."""
    return importlib.import_module(f"{client.__name__}.api.{name}")


def test_a_generated_client_records_lists_reads_and_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / "data"
    made = run("token", "create", "--data-dir", data_dir, "--user", "alice")
    with serving(data_dir, "--auth", "tokens") as server:
        stranger = generated(server, tmp_path, monkeypatch)
        models = importlib.import_module("stranger.models")
        types = importlib.import_module("stranger.types")
        client = stranger.AuthenticatedClient(base_url=server.url, token=made.stdout.strip())
        with client:
            fields = models.AssetIn(name="cat.png", node_id="n1", job_id="j1", tags=["a", "b"])
            file = types.File(io.BytesIO(b"pixels"), "cat.png", "image/png")
            body = models.CreateAssetFilesBody(file=file, json=fields)

            asset = operation(stranger, "assets.create_asset").sync(client=client, body=body)
            page = operation(stranger, "assets.list_assets").sync(client=client, node_id=["n1"])
            content = operation(stranger, "assets.get_content").sync(asset.id, client=client)
            job = operation(stranger, "jobs.get_job").sync("j1", client=client)
            gone = operation(stranger, "assets.get_asset").sync_detailed("0" * 32, client=client)
            tokens = operation(stranger, "tokens.list_tokens").sync_detailed(client=client)

        assert (asset.user_id, asset.name, asset.tags) == ("alice", "cat.png", ["a", "b"])
        assert [listed.id for listed in page.assets] == [asset.id]
        assert content.payload.read() == b"pixels"
        assert (job.assets, job.bytes_) == (1, 6)
        assert (gone.status_code, gone.parsed.type_) == (404, "urn:asset-ledger:unknown-asset")
        assert (tokens.status_code, tokens.parsed.additional_properties["scope"]) == (403, "admin")
