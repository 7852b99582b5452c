"""Calls of S3 that are too large are refused, and counted in the metrics."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.calling import serving_with_tokens
from tests.api.http.test_refused import counted
from tests.api.s3.conftest import S3, client_until, s3_at

TARGET = {"Bucket": "bucket", "Key": "a"}


async def test_what_is_too_large_is_counted(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir, s3_port=0, max_upload_bytes=100_000) as api:
        with s3_at(api):
            client = await client_until(api)
            await asyncio.to_thread(client.create_bucket, Bucket="bucket")
            refused = await asyncio.to_thread(too_large, client)
        limits = {name: number for name, number in (await counted(api)).items() if number}

    assert refused == ["EntityTooLarge", "EntityTooLarge", "InvalidRequest"]
    assert limits == {"too-large": 3}


def too_large(client: Any) -> list[str]:
    """Send an object, parts of one, and a document that are too large. Return the codes."""
    upload = TARGET | {"UploadId": client.create_multipart_upload(**TARGET)["UploadId"]}
    numbers = (1, 2)
    etags = [
        client.upload_part(**upload, PartNumber=number, Body=b"x" * 60_000)["ETag"]
        for number in numbers
    ]
    parts = [{"PartNumber": n, "ETag": tag} for n, tag in zip(numbers, etags, strict=True)]
    keys = {"Objects": [{"Key": "k" * 1_000}] * 3_000}
    return [
        code_of(client.put_object, **TARGET, Body=b"x" * 100_001),
        code_of(client.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts}),
        code_of(client.delete_objects, Bucket="bucket", Delete=keys),
    ]


def code_of(call: Any, **members: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**members)
    return str(error.value.response["Error"]["Code"])


async def test_document_with_too_many_elements_is_refused(s3: S3) -> None:
    keys: Any = {"Objects": [{"Key": f"{number}"} for number in range(33_000)]}

    with pytest.raises(ClientError, match=r"MalformedXML.* more than 65,536 elements"):
        await s3.run(s3.client.delete_objects, Bucket="bucket", Delete=keys)
