"""An S3 door of a real server with `--auth tokens`, and boto3 as its client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from aiohttp import web
from botocore.config import Config

from asset_ledger.api.backend import Backend, open_backend
from asset_ledger.api.http.app import Server
from asset_ledger.api.s3.door import S3Door
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.domain.event import iso
from tests.api import running
from tests.api.running import Api


@dataclass(frozen=True)
class S3:
    """The address of a door, a key of a user, and a client with that key."""

    url: str
    backend: Backend
    key_id: str
    secret: str
    client: Any

    async def run(self, call: Callable[..., Any], **members: Any) -> Any:
        """Run a blocking call of the client."""
        return await asyncio.to_thread(call, **members)

    async def put(self, key: str, body: bytes = b"x", **members: Any) -> Any:
        return await self.run(
            self.client.put_object, Bucket="bucket", Key=key, Body=body, **members
        )

    async def get(self, key: str, **members: Any) -> bytes:
        found = await self.run(self.client.get_object, Bucket="bucket", Key=key, **members)
        return bytes(await asyncio.to_thread(found["Body"].read))

    async def keys(self, **members: Any) -> list[str]:
        found = await self.run(self.client.list_objects_v2, Bucket="bucket", **members)
        return [each["Key"] for each in found.get("Contents", [])]


@asynccontextmanager
async def serving_door(backend: Backend) -> AsyncIterator[str]:
    """Run a server, and yield the address of its S3 door."""
    server = Server(backend)
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        server.doors = {port: S3Door(backend, server.authenticator, server.admit)}
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@contextmanager
def s3_at(api: Api) -> Iterator[None]:
    """Make the port of a server an S3 door during the block."""
    door = S3Door(api.backend, api.server.authenticator, api.server.admit)
    api.server.doors = {urlsplit(api.url).port or 0: door}
    try:
        yield
    finally:
        api.server.doors = {}


async def client_until(api: Api, until: datetime | None = None) -> Any:
    """Return a client with a new key of alice that is valid until then."""
    sent = {"user_id": "alice"} | ({"expires_at": iso(until)} if until else {})
    made = await api.backend.tokens.create("1", sent)
    api.backend.s3_keys.keep(made["id"], made["token"])
    return client_of(api.url, made["id"], made["token"])


@pytest.fixture
async def s3(opened_data_dir: Path) -> AsyncIterator[S3]:
    settings = Settings(data_dir=opened_data_dir, auth="tokens", s3_port=0, s3_host="s3.test")
    engine = running.engine_for(opened_data_dir)
    async with (
        open_backend(settings, engine=engine) as backend,
        serving_door(backend) as url,
    ):
        made = await backend.tokens.create("1", {"user_id": "alice"})
        backend.s3_keys.keep(made["id"], made["token"])
        client = client_of(url, made["id"], made["token"])
        try:
            await asyncio.to_thread(client.create_bucket, Bucket="bucket")
            yield S3(url, backend, made["id"], made["token"], client)
        finally:
            client.close()


def client_of(url: str, key_id: str, secret: str) -> Any:
    """Return a boto3 client, which tries nothing twice."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", retries={"max_attempts": 1}),
    )
