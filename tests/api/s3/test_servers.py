"""Multipart uploads of S3 clients, whose parts reach several servers of one database."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from asset_ledger.api.backend import open_backend
from asset_ledger.api.settings import Settings
from tests.api.s3.conftest import serving_door
from tests.postgres import Postgres

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
pytestmark = pytest.mark.slow

TARGET = {"Bucket": "bucket", "Key": "big/file"}
FIRST, SECOND, LAST = b"a" * (5 << 20), b"b" * (5 << 20), b"c" * 10


@pytest.fixture
def shared_url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@asynccontextmanager
async def door(shared_url: str, folder: Path) -> AsyncIterator[Any]:
    """Run a server, and yield a client of its S3 door."""
    engine = importlib.import_module("asset_ledger.api.database.engine").DatabaseEngine
    settings = Settings(data_dir=folder, content_url=str(folder.with_name("store")), s3_port=0)
    async with (
        open_backend(settings, engine=engine(shared_url, folder)) as backend,
        serving_door(backend) as url,
    ):
        client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="any",
            aws_secret_access_key="any",
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}),
        )
        try:
            yield client
        finally:
            client.close()


async def test_parts_that_reach_several_servers_become_one_object(
    shared_url: str, tmp_path: Path
) -> None:
    async with (
        door(shared_url, tmp_path / "first") as first,
        door(shared_url, tmp_path / "second") as second,
    ):
        await asyncio.to_thread(first.create_bucket, Bucket="bucket")
        upload = await begun(first)
        sent = [
            await part(second, upload, 1, b"replaced" * (1 << 20)),
            await part(first, upload, 1, FIRST),
            await part(second, upload, 3, LAST),
            await part(second, upload, 2, SECOND),
        ]
        listed = await asyncio.to_thread(second.list_multipart_uploads, Bucket="bucket")
        parts = sorted(sent[1:], key=lambda each: each["PartNumber"])
        kept = await asyncio.to_thread(first.list_parts, **upload)
        done = await asyncio.to_thread(
            second.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts}
        )
        found = await asyncio.to_thread(first.get_object, **TARGET)

        assert await asyncio.to_thread(found["Body"].read) == FIRST + SECOND + LAST
        assert [each["UploadId"] for each in listed["Uploads"]] == [upload["UploadId"]]
        assert [each["ETag"] for each in kept["Parts"]] == [each["ETag"] for each in parts]
        assert done["ETag"] == found["ETag"]
        assert len([each for each in (tmp_path / "store").rglob("*") if each.is_file()]) == 1


async def test_an_upload_is_aborted_by_another_server(shared_url: str, tmp_path: Path) -> None:
    async with (
        door(shared_url, tmp_path / "first") as first,
        door(shared_url, tmp_path / "second") as second,
    ):
        await asyncio.to_thread(first.create_bucket, Bucket="bucket")
        upload = await begun(first)
        await part(first, upload, 1, FIRST)

        await asyncio.to_thread(second.abort_multipart_upload, **upload)

        with pytest.raises(ClientError, match="NoSuchUpload"):
            await part(first, upload, 2, LAST)
        assert [each for each in (tmp_path / "store").rglob("*") if each.is_file()] == []


async def begun(client: Any) -> dict[str, str]:
    made = await asyncio.to_thread(client.create_multipart_upload, **TARGET)
    return {**TARGET, "UploadId": made["UploadId"]}


async def part(client: Any, upload: dict[str, str], number: int, body: bytes) -> dict[str, Any]:
    sent = await asyncio.to_thread(client.upload_part, **upload, PartNumber=number, Body=body)
    return {"PartNumber": number, "ETag": sent["ETag"]}
