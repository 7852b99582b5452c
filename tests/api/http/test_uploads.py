"""Resumable uploads by tus 1.0: bytes arrive in several requests, and become one asset."""

import asyncio
import hashlib
import random
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.api.settings import Settings
from tests.api.calling import ALL, caller, serving_with_tokens
from tests.api.running import Answer, Api, serving
from tests.api.running import stray_files as staged_files

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
CONTENT = random.Random("tus").randbytes(200_000)


def metadata(**fields: Any) -> str:
    """Encode fields as Upload-Metadata."""
    texts = {k: v if isinstance(v, str) else orjson.dumps(v).decode() for k, v in fields.items()}
    return ",".join(f"{name} {b64encode(text.encode()).decode()}" for name, text in texts.items())


async def create(
    api: Api, size: int, headers: dict[str, str] = {}, data: bytes | None = None, **fields: Any
) -> Answer:
    """Create an upload; `data`: its first bytes."""
    declared = {
        "Upload-Length": str(size),
        "Upload-Metadata": metadata(**{"name": "a.bin"} | fields),
    }
    kind = {} if data is None else BYTES
    return await api.call(
        "POST", "/api/uploads", headers={**TUS, **declared, **kind, **headers}, data=data
    )


async def created(api: Api, size: int, **fields: Any) -> str:
    """Create an upload, and return its path."""
    answer = await create(api, size, **fields)
    assert answer.status == 201, answer.body
    return answer.headers["Location"]


async def append(api: Api, path: str, offset: int, data: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {**BYTES, "Upload-Offset": str(offset), **named}
    return await api.call("PATCH", path, headers=sent, data=data)


async def head(api: Api, path: str) -> Answer:
    return await api.call("HEAD", path, headers=TUS)


async def content_of(api: Api, answer: Answer) -> bytes:
    """Return the bytes of the asset that an upload became."""
    return (await api.get(f"/api/assets/{answer.headers['Ledger-Asset']}/content")).body


async def recorded(api: Api) -> list[Any]:
    found: list[Any] = (await api.get("/api/assets")).json["assets"]
    return found


def unfinished(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "content" / "uploads").iterdir())


@pytest.mark.parametrize("size", [0, 1, 60_000, 65_536, 65_537, 200_000])
async def test_upload_in_pieces_becomes_one_asset(api: Api, size: int) -> None:
    content = CONTENT[:size]
    path = await created(api, size, content_type="image/png", job_id="j", tags=["a", "ä"])

    last = await head(api, path)
    for offset in range(0, size, 70_000):
        last = await append(api, path, offset, content[offset : offset + 70_000])
        assert (last.status, last.body) == (204, b"")
        assert last.headers["Upload-Offset"] == str(min(size, offset + 70_000))

    (asset,) = await recorded(api)
    assert asset["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert (asset["name"], asset["job_id"], asset["tags"]) == ("a.bin", "j", ["a", "ä"])
    assert await content_of(api, last) == content
    assert unfinished(api.backend.settings) == []
