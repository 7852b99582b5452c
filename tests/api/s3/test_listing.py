"""Lists against a model: all keys, sorted by the bytes of their UTF-8."""

import asyncio
from typing import Any

import pytest

from asset_ledger.api.s3 import buckets
from tests.api.s3.conftest import S3

KEYS = [
    "a",
    "a-b",
    "a/b",
    "a/b/c",
    "a/b0",
    "a/c",
    "a0",
    "b/",
    "c/d/e/f",
    "c/d/e/g",
    "ü/é",
    "ü",
    "z ",
]
"""Around `/`, whose neighbours sort before and after it; `b/` is an empty folder."""


@pytest.fixture
async def filled(s3: S3) -> S3:
    for key in KEYS:
        await s3.put(key, b"" if key.endswith("/") else key.encode())
    return s3


def expected(prefix: str, delimiter: str) -> list[str]:
    """Return the keys and common prefixes that a list has, in order, each once."""
    found = []
    for key in sorted(KEYS, key=str.encode):
        if key.startswith(prefix):
            head, cut, _ = key.removeprefix(prefix).partition(delimiter or "\0")
            found.append(f"{prefix}{head}{cut}" if delimiter and cut else key)
    return list(dict.fromkeys(found))


async def listed(s3: S3, operation: str, size: int, **members: Any) -> list[str]:
    def pages() -> list[str]:
        found = []
        paginator = s3.client.get_paginator(operation)
        for page in paginator.paginate(
            Bucket="bucket", PaginationConfig={"PageSize": size}, **members
        ):
            names = [each["Key"] for each in page.get("Contents", [])]
            names += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
            assert len(names) <= size
            found += sorted(names, key=str.encode)
        return found

    return await asyncio.to_thread(pages)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
async def test_pages_of_a_list_are_the_sorted_keys(filled: S3, operation: str) -> None:
    for size in (1, 2, 5, 1000):
        for prefix in ("", "a", "a/", "a/b", "c/d", "ü", "x"):
            for delimiter in ("", "/", "b"):
                members = {"Prefix": prefix, "Delimiter": delimiter} if delimiter else {}
                members["Prefix"] = prefix
                found = await listed(filled, operation, size, **members)
                assert found == expected(prefix, delimiter), (size, prefix, delimiter)


async def test_a_list_begins_after_any_text(filled: S3) -> None:
    for after in [*KEYS, "", "a/", "a/b/", "a/b/c/d", "c/d", "zz", "b", "b/x"]:
        found = await filled.keys(StartAfter=after)
        wanted = [k for k in expected("", "") if k.encode() > after.encode()]
        assert found == wanted, after


async def test_a_list_has_size_time_and_entity_tag(filled: S3) -> None:
    found = await filled.run(filled.client.list_objects_v2, Bucket="bucket", Prefix="a/b/c")

    (entry,) = found["Contents"]
    head = await filled.run(filled.client.head_object, Bucket="bucket", Key="a/b/c")
    assert (entry["Size"], entry["ETag"]) == (5, head["ETag"])
    assert entry["LastModified"] == head["LastModified"]


async def test_pages_of_the_list_of_buckets_have_each_bucket_once(s3: S3) -> None:
    names = ["bucket", "runs", "runs-1", "runs.2"]
    for name in names[1:]:
        await s3.run(s3.client.create_bucket, Bucket=name)

    def listed(size: int, prefix: str) -> list[str]:
        pages = s3.client.get_paginator("list_buckets").paginate(
            Prefix=prefix, PaginationConfig={"PageSize": size}
        )
        found = [[each["Name"] for each in page["Buckets"]] for page in pages]
        assert all(len(page) == size for page in found[:-1])
        return [name for page in found for name in page]

    for size in (1, 2, 5, 10_000):
        for prefix in ("", "b", "runs", "runs-", "x"):
            found = await asyncio.to_thread(listed, size, prefix)
            assert sorted(found) == [name for name in names if name.startswith(prefix)]


async def test_a_list_of_more_buckets_than_the_limit_goes_on_with_a_token(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "MAX_BUCKETS", 2)
    for name in ("a", "c"):
        await s3.run(s3.client.create_bucket, Bucket=name)

    first = await s3.run(s3.client.list_buckets, MaxBuckets=3)
    second = await s3.run(s3.client.list_buckets, ContinuationToken=first["ContinuationToken"])

    found = [[each["Name"] for each in page["Buckets"]] for page in (first, second)]
    assert found == [["a", "bucket"], ["c"]]
    assert "ContinuationToken" not in second


@pytest.mark.slow
async def test_a_list_of_more_than_a_page_of_a_folder(s3: S3) -> None:
    names = [f"many/{n:04d}" for n in range(600)]
    for first in range(0, 600, 50):
        await asyncio.gather(*(s3.put(name) for name in names[first : first + 50]))

    assert await s3.keys(Prefix="many/") == names
    assert await listed(s3, "list_objects_v2", 100, Delimiter="/") == ["many/"]
    assert await s3.keys(Prefix="many/", StartAfter="many/0297", MaxKeys=3) == names[298:301]
