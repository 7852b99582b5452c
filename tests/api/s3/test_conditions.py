"""What a client expects of an object is compared, or refused: never passed over."""

from typing import Any

import pytest

from tests.api.s3.conftest import S3
from tests.api.s3.test_multipart import begun
from tests.api.s3.test_objects import refused

SOURCE: Any = {"Bucket": "bucket", "Key": "a"}
CHANGED = ("PreconditionFailed", 412)


async def test_a_copy_of_a_source_that_changed_is_refused(s3: S3) -> None:
    client, first = s3.client, (await s3.put("a", b"1"))["ETag"]
    second = (await s3.put("a", b"2"))["ETag"]
    upload, to = await begun(s3), {"Bucket": "bucket", "Key": "b", "CopySource": SOURCE}
    part = {**upload, "PartNumber": 1, "CopySource": SOURCE}

    for call, members in ((client.copy_object, to), (client.upload_part_copy, part)):
        assert await refused(s3, call, **members, CopySourceIfMatch=first) == CHANGED
        assert await refused(s3, call, **members, CopySourceIfNoneMatch=second) == CHANGED
        await s3.run(call, **members, CopySourceIfMatch=second, CopySourceIfNoneMatch=first)
    assert await s3.get("b") == b"2"


async def test_an_object_that_changed_is_not_deleted(s3: S3) -> None:
    delete, first = s3.client.delete_object, (await s3.put("a", b"1"))["ETag"]
    second = (await s3.put("a", b"2"))["ETag"]

    assert await refused(s3, delete, **SOURCE, IfMatch=first) == CHANGED
    assert await s3.get("a") == b"2"
    await s3.run(delete, **SOURCE, IfMatch=second)
    assert await s3.keys() == []
    assert await refused(s3, delete, **SOURCE, IfMatch=second) == ("NoSuchKey", 404)


@pytest.mark.parametrize("condition", [{"VersionId": "x"}, {"ETag": '"x"'}])
async def test_no_object_is_deleted_under_a_condition_for_many(
    s3: S3, condition: dict[str, str]
) -> None:
    await s3.put("a")
    named: Any = {"Objects": [{"Key": "a", **condition}]}

    many = s3.client.delete_objects
    assert await refused(s3, many, Bucket="bucket", Delete=named) == ("NotImplemented", 501)
    assert await s3.keys() == ["a"]
    present: Any = {"Objects": [{"Key": "a", "VersionId": "null"}]}
    await s3.run(many, Bucket="bucket", Delete=present)
    assert await s3.keys() == []


async def test_another_version_or_part_than_the_present_whole_is_refused(s3: S3) -> None:
    client = s3.client
    await s3.put("a", b"1")
    old: Any = {**SOURCE, "VersionId": "x"}

    assert await s3.get("a", PartNumber=1) == b"1"
    for call in (client.get_object, client.head_object):
        assert (await refused(s3, call, **SOURCE, PartNumber=2))[1] == 416
        assert (await refused(s3, call, **old))[1] == 501
    copied = {"Bucket": "bucket", "Key": "b", "CopySource": old}
    assert await refused(s3, client.copy_object, **copied) == ("NotImplemented", 501)
    assert await s3.keys() == ["a"]
