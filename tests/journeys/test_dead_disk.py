"""A disk that has gone: every operation is refused with a reason, or needs no disk."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.journeys.client import Client, talking
from tests.journeys.power import disk
from tests.journeys.server import serving

JSON: Final = {"Content-Type": "application/json"}
TUS: Final = {
    "Tus-Resumable": "1.0.0",
    "Upload-Length": "5",
    "Upload-Offset": "0",
    "Upload-Metadata": "name YQ==",
    "Content-Type": "application/offset+octet-stream",
}
ENDLESS: Final = "/api/events/stream"


class Asked(NamedTuple):
    """A request of each operation."""

    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]


def requests_of(description: Any, asset: Any) -> Iterator[Asked]:
    """Yield a request for every operation of a description."""
    names = {"id": asset["id"], "content": asset["digest"], "upload_id": asset["id"]}
    ids = json.dumps({"asset_ids": [asset["id"]]}).encode()
    for path, operations in description["paths"].items():
        filled = path
        for name in path.split("{")[1:]:
            filled = filled.replace(f"{{{name.split('}')[0]}}}", names.get(name.split("}")[0], "j"))
        for method in operations.keys() & {"get", "post", "put", "patch", "delete"}:
            if path == ENDLESS:
                continue
            if path.startswith("/api/uploads"):
                yield Asked(method.upper(), filled, b"", TUS)
            elif method == "get":
                yield Asked("GET", filled, None, {})
            elif path.endswith("content"):
                yield Asked(method.upper(), f"{filled}?name=a", b"new", {"Content-Type": "text/x"})
            else:
                body = ids if "bulk" in path or "download" in path else b"{}"
                body = b'{"apply": true}' if path == "/api/collection" else body
                yield Asked(method.upper(), filled, body, JSON)


@pytest.mark.slow
def test_no_operation_fails_as_a_defect_after_the_disk_has_gone(tmp_path: Path) -> None:
    with disk(tmp_path) as lost, serving(lost.folder) as server, talking(server.port) as client:
        asset = client.created(b"content", job_id="j")
        description = client.get("/openapi.json").json
        lost.cut_after(0, "dead")

        statuses = {
            asked[:2]: (answer(client, asked), answer(client, asked))
            for asked in requests_of(description, asset)
        }

        assert len(statuses) > 70
        assert {k: v for k, v in statuses.items() if 500 in v} == {}
        assert sum(503 in v for v in statuses.values()) > 40
        assert client.get("/readyz").status == 503
        server.close()


def answer(client: Client, asked: Asked) -> int:
    return client.call(*asked).status
