"""A key that expires or is revoked ends what its requests receive, within five seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.calling import serving_with_tokens
from tests.api.http.test_connections import closed, sending
from tests.api.running import Api
from tests.api.s3.conftest import client_until, s3_at

OBJECT = {"Bucket": "bucket", "Key": "big"}
SOON = timedelta(seconds=3)


@asynccontextmanager
async def serving_object(data_dir: Path) -> AsyncIterator[Api]:
    """Run a server whose port is an S3 door, with a large object of alice."""
    async with serving_with_tokens(data_dir, s3_port=0) as api:
        with s3_at(api):
            client = await client_until(api)
            await asyncio.to_thread(client.create_bucket, Bucket="bucket")
            await asyncio.to_thread(client.put_object, **OBJECT, Body=b"x" * 30_000_000)
            yield api


@asynccontextmanager
async def downloading(api: Api, client: Any) -> AsyncIterator[None]:
    """Ask for the object with a presigned address, and read no more than the head of the answer."""
    address = client.generate_presigned_url("get_object", Params=OBJECT)
    host = urlsplit(api.url).netloc
    request = f"GET {address.removeprefix(api.url)} HTTP/1.1\r\nHost: {host}\r\n\r\n"
    async with sending(api, request.encode()) as reader:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        yield


async def test_a_revoked_key_ends_a_download(opened_data_dir: Path) -> None:
    async with serving_object(opened_data_dir) as api:
        client = await client_until(api)
        async with downloading(api, client):
            await api.backend.tokens.revoke("1", api.backend.tokens.all()[-1].id)
            async with asyncio.timeout(5):
                await closed(api, "revoked")


@pytest.mark.slow
async def test_an_expired_key_ends_a_download(opened_data_dir: Path) -> None:
    async with serving_object(opened_data_dir) as api:
        until = datetime.now(UTC) + SOON
        async with downloading(api, await client_until(api, until)):
            await closed(api, "revoked")
        late = datetime.now(UTC) - until

    assert timedelta(0) <= late < timedelta(seconds=5)
