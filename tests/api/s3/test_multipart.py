import asyncio
import io
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from asset_ledger.api.s3 import multipart
from asset_ledger.api.s3.uploads import LIFE, FolderMultipartUploads
from tests.api.running import stray_files
from tests.api.s3.conftest import S3

MIB = 1 << 20
TARGET = {"Bucket": "bucket", "Key": "big/file"}


async def begun(s3: S3, **members: Any) -> dict[str, str]:
    made = await s3.run(s3.client.create_multipart_upload, **TARGET, **members)
    return {**TARGET, "UploadId": made["UploadId"]}


async def part(s3: S3, upload: dict[str, str], number: int, body: bytes) -> dict[str, Any]:
    sent = await s3.run(s3.client.upload_part, **upload, PartNumber=number, Body=body)
    return {"PartNumber": number, "ETag": sent["ETag"]}


async def complete(s3: S3, upload: dict[str, str], *parts: dict[str, Any]) -> Any:
    listed: Any = {"Parts": list(parts)}
    return await s3.run(s3.client.complete_multipart_upload, **upload, MultipartUpload=listed)


def leftovers(data_dir: Path) -> list[Path]:
    return [
        *stray_files(data_dir),
        *(p for p in (data_dir / "s3-uploads").rglob("*") if p.is_file()),
    ]


async def test_a_file_in_parts_is_one_asset(s3: S3, data_dir: Path) -> None:
    body = os.urandom(20 * MIB + 5)
    made = {"Metadata": {"job-id": "j", "mtime": "1"}, "ContentType": "text/x"}

    await s3.run(s3.client.upload_fileobj, Fileobj=io.BytesIO(body), ExtraArgs=made, **TARGET)
    head = await s3.run(s3.client.head_object, **TARGET)

    assert await s3.get("big/file") == body
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"mtime": "1"})
    assert leftovers(data_dir) == []


async def test_parts_are_listed_replaced_and_joined_in_the_order_of_their_numbers(s3: S3) -> None:
    upload = await begun(s3)
    third = await part(s3, upload, 3, b"c" * 70_000)
    await part(s3, upload, 1, b"wrong")
    first = await part(s3, upload, 1, b"a")

    uploads = await s3.run(s3.client.list_multipart_uploads, Bucket="bucket")
    parts = await s3.run(s3.client.list_parts, **upload)
    await complete(s3, upload, first, third)

    assert [each["UploadId"] for each in uploads["Uploads"]] == [upload["UploadId"]]
    assert [(each["PartNumber"], each["Size"]) for each in parts["Parts"]] == [(1, 1), (3, 70_000)]
    assert await s3.get("big/file") == b"a" + b"c" * 70_000


async def test_wrong_completions_are_refused_and_lose_no_part(s3: S3) -> None:
    upload = await begun(s3)
    first, second = await part(s3, upload, 1, b"a"), await part(s3, upload, 2, b"b")

    for code, parts in (
        ("InvalidPartOrder", [second, first]),
        ("InvalidPart", [first | {"ETag": '"0-1"'}]),
        ("InvalidPart", [first | {"PartNumber": 7}]),
        ("MalformedXML", []),
    ):
        with pytest.raises(ClientError, match=code):
            await complete(s3, upload, *parts)
    await complete(s3, upload, first, second)

    assert await s3.get("big/file") == b"ab"


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_repeated_completion_gets_the_same_answer(s3: S3, is_new: bool) -> None:
    if not is_new:
        await s3.put("big/file", b"before")
    upload = await begun(s3)
    only = await part(s3, upload, 1, b"a" * 70_000)

    first = await complete(s3, upload, only)
    again = await complete(s3, upload, only)
    await s3.run(s3.client.delete_object, **TARGET)
    with pytest.raises(ClientError, match="NoSuchUpload"):
        await complete(s3, upload, only)

    members = ("Location", "Bucket", "Key", "ETag")
    assert [again[name] for name in members] == [first[name] for name in members]


async def test_an_aborted_upload_leaves_nothing(s3: S3, data_dir: Path) -> None:
    upload = await begun(s3)
    await part(s3, upload, 1, b"a" * 100_000)

    await s3.run(s3.client.abort_multipart_upload, **upload)

    assert (leftovers(data_dir), await s3.keys()) == ([], [])
    with pytest.raises(ClientError, match="NoSuchUpload"):
        await part(s3, upload, 1, b"a")


async def test_parts_can_be_copied_from_an_object(s3: S3) -> None:
    await s3.put("source", b"0123456789")
    upload = await begun(s3)
    source: Any = {"Bucket": "bucket", "Key": "source"}
    copied = []
    for number, span in ((1, "bytes=5-9"), (2, "bytes=0-4")):
        done = await s3.run(
            s3.client.upload_part_copy,
            **upload,
            PartNumber=number,
            CopySource=source,
            CopySourceRange=span,
        )
        copied.append({"PartNumber": number, "ETag": done["CopyPartResult"]["ETag"]})

    await complete(s3, upload, *copied)

    assert await s3.get("big/file") == b"5678901234"


async def test_a_long_completion_keeps_the_connection_alive(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "KEEP_ALIVE", 0.001)
    upload = await begun(s3)
    parts = [await part(s3, upload, number, os.urandom(3 * MIB)) for number in (1, 2, 3)]

    done = await complete(s3, upload, *parts)

    head = await s3.run(s3.client.head_object, **TARGET)
    assert (done["ETag"], head["ContentLength"]) == (head["ETag"], 9 * MIB)


async def test_concurrent_completions_record_one_asset(s3: S3) -> None:
    upload = await begun(s3)
    only = await part(s3, upload, 1, b"a" * 100_000)

    done = await asyncio.gather(
        *(complete(s3, upload, only) for _ in range(3)), return_exceptions=True
    )

    assert any(not isinstance(each, BaseException) for each in done)
    assert all(
        not isinstance(each, BaseException) or isinstance(each, ClientError) for each in done
    )
    entries = await s3.backend.projections.keys.segments("alice", None, "")
    assert [each.segment for each in entries] == ["bucket/"]
    assert await s3.keys() == ["big/file"]
    assert await s3.get("big/file") == b"a" * 100_000


async def test_a_completion_that_was_recorded_but_not_answered_can_be_repeated(
    s3: S3, data_dir: Path
) -> None:
    upload = await begun(s3)
    only = await part(s3, upload, 1, b"a" * 100_000)
    folder = data_dir / "s3-uploads" / upload["UploadId"]
    shutil.copytree(folder, data_dir / "kept")
    done = await complete(s3, upload, only)
    shutil.move(data_dir / "kept", folder)  # as if the server was killed before it removed them

    again = await complete(s3, upload, only)

    assert again["ETag"] == done["ETag"]
    assert await document_version(s3) == 1
    assert not folder.exists()


async def document_version(s3: S3) -> int:
    folder = await s3.backend.projections.keys.find("alice", None, "bucket/")
    assert folder is not None
    folder = await s3.backend.projections.keys.find("alice", folder.id, "big/")
    assert folder is not None
    found = await s3.backend.projections.keys.find("alice", folder.id, "file")
    assert found is not None
    asset = await s3.backend.projections.assets.find("alice", found.id)
    return int(json.loads(asset.json)["version"])


async def test_a_week_old_upload_is_removed_without_a_new_one(s3: S3, data_dir: Path) -> None:
    upload = await begun(s3)
    await part(s3, upload, 1, b"a" * 100_000)
    recent = await begun(s3)
    folder = data_dir / "s3-uploads" / upload["UploadId"]
    os.utime(folder, (time.time() - LIFE - 60,) * 2)

    await FolderMultipartUploads(data_dir / "s3-uploads").remove_old()

    assert [path.name for path in (data_dir / "s3-uploads").iterdir()] == [recent["UploadId"]]
