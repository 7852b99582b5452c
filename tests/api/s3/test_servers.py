"""Requests of S3 clients that reach several servers of one database."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
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


async def test_new_folders_and_objects_of_several_servers_are_there_once(
    shared_url: str, tmp_path: Path
) -> None:
    async with (
        door(shared_url, tmp_path / "first") as first,
        door(shared_url, tmp_path / "second") as second,
    ):
        clients = [first, second] * 3
        for number in range(5):
            bucket, key = f"bucket{number}", f"new{number}/deep"

            await at_once(*((each.create_bucket, {"Bucket": bucket}) for each in clients))
            await at_once(
                *(
                    (each.put_object, {"Bucket": bucket, "Key": f"{key}/{n}", "Body": b"x"})
                    for n, each in enumerate(clients)
                )
            )
            once = {"Bucket": bucket, "Key": key, "Body": b"x", "IfNoneMatch": "*"}
            outcomes = await at_once(*((each.put_object, once) for each in clients))

            codes = [each.response["Error"]["Code"] for each in outcomes if is_refusal(each)]
            assert codes == ["PreconditionFailed"] * (len(clients) - 1)
            keys = [key, *(f"{key}/{n}" for n in range(len(clients)))]
            assert await asyncio.to_thread(listed, second, bucket) == keys
            for n, client in enumerate(clients):
                await removed(client, bucket, f"{key}/{n}")
            await removed(first, bucket, key)
            await asyncio.to_thread(second.delete_bucket, Bucket=bucket)
            with pytest.raises(ClientError, match="NoSuchBucket"):
                await asyncio.to_thread(first.list_objects_v2, Bucket=bucket)


async def test_a_write_is_slowed_down_until_the_server_with_its_lock_has_gone(
    shared_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_locks = importlib.import_module("asset_ledger.api.database.key_locks")
    monkeypatch.setattr(key_locks, "PATIENCE", 0.2)
    gone = key_locks.SharedKeyLocks(shared_url)
    async with door(shared_url, tmp_path / "first") as client:
        async with gone.hold(("1", None, "bucket/")):
            with pytest.raises(ClientError, match="SlowDown") as slowed:
                await asyncio.to_thread(client.create_bucket, Bucket="bucket")
            await asyncio.to_thread(client.create_bucket, Bucket="other")
            await gone.close()

            await asyncio.to_thread(client.create_bucket, Bucket="bucket")

        assert slowed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


async def at_once(*calls: tuple[Callable[..., Any], dict[str, Any]]) -> list[Any]:
    """Run calls of clients at the same time. Return their results and errors."""
    running = (asyncio.to_thread(call, **members) for call, members in calls)
    return await asyncio.gather(*running, return_exceptions=True)


def is_refusal(outcome: Any) -> bool:
    return isinstance(outcome, ClientError)


def listed(client: Any, bucket: str) -> list[str]:
    """Return all keys of a bucket, of which each page has two."""
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    return [each["Key"] for page in pages for each in page["Contents"]]


async def removed(client: Any, bucket: str, key: str) -> None:
    """Delete an object that is there, and check that none is left."""
    members = {"Bucket": bucket, "Key": key}
    await asyncio.to_thread(client.head_object, **members)
    await asyncio.to_thread(client.delete_object, **members)
    with pytest.raises(ClientError, match="Not Found"):
        await asyncio.to_thread(client.head_object, **members)


async def begun(client: Any) -> dict[str, str]:
    made = await asyncio.to_thread(client.create_multipart_upload, **TARGET)
    return {**TARGET, "UploadId": made["UploadId"]}


async def part(client: Any, upload: dict[str, str], number: int, body: bytes) -> dict[str, Any]:
    sent = await asyncio.to_thread(client.upload_part, **upload, PartNumber=number, Body=body)
    return {"PartNumber": number, "ETag": sent["ETag"]}
