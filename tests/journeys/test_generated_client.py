"""A client generated from the OpenAPI description by `openapi-python-client` works."""

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
NAMELESS = (
    *("application/zip", "image/webp", "application/x-ndjson"),
    "application/offset+octet-stream",
)
CONFIG = f"content_type_overrides: {{{', '.join(f'{kind}: {BINARY}' for kind in NAMELESS)}}}"
"""The generator supports only this type for binary bodies."""


def generated(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Generate a client from the description of the server. A warning fails the test."""
    with urlopen(f"{server.url}/openapi.json") as answer:
        (folder / "openapi.json").write_bytes(answer.read())
    (folder / "config.yml").write_text(CONFIG, "ascii")
    command = f"{TOOLS}/openapi-python-client generate --fail-on-warning --meta none"
    command += " --output-path generated_client"
    subprocess.run(
        [*command.split(), "--config", "config.yml", "--path", "openapi.json"],
        cwd=folder,
        env={**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module("generated_client")


def operation(client: ModuleType, name: str) -> Any:
    """Return the module of an operation, with `sync` and `sync_detailed`."""
    return importlib.import_module(f"{client.__name__}.api.{name}")


def test_a_generated_client_creates_lists_reads_and_gets_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / "data"
    made = run("token", "create", "--data-dir", data_dir, "--user", "alice")
    with serving(data_dir, "--auth", "tokens") as server:
        generated_client = generated(server, tmp_path, monkeypatch)
        models = importlib.import_module("generated_client.models")
        types = importlib.import_module("generated_client.types")
        client = generated_client.AuthenticatedClient(
            base_url=server.url, token=made.stdout.strip()
        )
        with client:
            fields = models.AssetIn(name="cat.png", node_id="n1", job_id="j1", tags=["a", "b"])
            file = types.File(io.BytesIO(b"pixels"), "cat.png", "image/png")
            body = models.CreateAssetFilesBody(file=file, json=fields)

            asset = operation(generated_client, "assets.create_asset").sync(
                client=client, body=body
            )
            raw = operation(generated_client, "assets.create_asset_from_content").sync(
                client=client,
                body=types.File(io.BytesIO(b"more pixels")),
                name="dog.png",
                content_type="image/png",
                node_id="n2",
                job_id="j1",
                tags=["a", "b"],
            )
            page = operation(generated_client, "assets.list_assets").sync(
                client=client, node_id=["n1"]
            )
            content, raw_content = (
                operation(generated_client, "assets.get_content").sync(made.id, client=client)
                for made in (asset, raw)
            )
            job = operation(generated_client, "jobs.get_job").sync("j1", client=client)
            gone = operation(generated_client, "assets.get_asset").sync_detailed(
                "0" * 32, client=client
            )
            tokens = operation(generated_client, "tokens.list_tokens").sync_detailed(client=client)

        assert (asset.user_id, asset.name, asset.tags) == ("alice", "cat.png", ["a", "b"])
        assert [listed.id for listed in page.assets] == [asset.id]
        assert (raw.name, raw.content_type, raw.tags) == ("dog.png", "image/png", ["a", "b"])
        assert (content.payload.read(), raw_content.payload.read()) == (b"pixels", b"more pixels")
        assert (job.assets, job.bytes_) == (2, 17)
        assert (gone.status_code, gone.parsed.type_) == (404, "urn:asset-ledger:unknown-asset")
        assert (tokens.status_code, tokens.parsed.additional_properties["scope"]) == (403, "admin")
