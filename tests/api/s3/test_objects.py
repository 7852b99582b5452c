import asyncio
import os
import re
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from asset_ledger.api.contract.assets import read_fields
from asset_ledger.api.contract.upload import upload_request
from asset_ledger.api.s3_keys import S3KeyFile
from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.reading.replay import Replay
from tests.api.s3.conftest import S3, client_of


async def refused(s3: S3, call: Any, **members: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as error:
        await s3.run(call, **members)
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


async def document(s3: S3, key: str) -> Any:
    """Return the asset of a key as the API shows it."""
    keys = s3.backend.projections.keys
    folder = None
    for segment in re.findall("[^/]*/|[^/]+", f"bucket/{key}"):
        entry = await keys.find("alice", folder, segment)
        assert entry is not None
        folder = entry.id
    assert folder is not None
    return orjson.loads((await s3.backend.projections.assets.find("alice", folder)).json)


@pytest.mark.parametrize("key", ["a.txt", "deep/er/a.txt", "ü/ñ 1%2F&<+>.txt", "a%252Fb"])
async def test_what_is_put_is_got(s3: S3, key: str) -> None:
    for size in (0, 5, 200_000):
        await check_put(s3, key, size)


async def check_put(s3: S3, key: str, size: int) -> None:
    body = os.urandom(size)

    put = await s3.put(key, body, ContentType="text/x", Metadata={"mtime": "1.5"})
    head = await s3.run(s3.client.head_object, Bucket="bucket", Key=key)

    assert await s3.get(key) == body
    assert await s3.keys() == [key]
    assert (head["ContentLength"], head["ContentType"]) == (size, "text/x")
    assert (head["Metadata"], head["ETag"]) == ({"mtime": "1.5"}, put["ETag"])
    assert not re.fullmatch("[0-9a-f]{32}", put["ETag"].strip('"'))


async def test_an_object_is_an_asset_with_its_job_node_and_workflow(s3: S3) -> None:
    made = {"job-id": "j", "node-id": "n", "workflow-id": "w", "mtime": "7"}

    await s3.put("runs/1/out.txt", Metadata=made)

    asset = await document(s3, "runs/1/out.txt")
    assert (asset["job_id"], asset["node_id"], asset["workflow_id"]) == ("j", "n", "w")
    assert (asset["name"], asset["metadata"]) == ("out.txt", {"mtime": "7"})


async def test_an_overwrite_is_a_new_version_of_the_same_asset(s3: S3) -> None:
    await s3.put("a", b"one", Metadata={"x": "1"})
    first = await document(s3, "a")

    await s3.put("a", b"two")
    second = await document(s3, "a")

    assert (second["id"], second["metadata"] or {}) == (first["id"], {})
    assert second["version"] > first["version"]
    assert await s3.get("a") == b"two"


async def test_the_same_object_again_records_nothing(s3: S3) -> None:
    await s3.put("a", b"one", ContentType="text/x", Metadata={"x": "1"})
    before = s3.backend.feed.head()

    await s3.put("a", b"one", ContentType="text/x", Metadata={"x": "1"})

    assert s3.backend.feed.head() == before


async def test_a_read_beside_overwrites_has_the_bytes_of_its_etag(s3: S3) -> None:
    bodies = [b"x" * 60_000, b"y" * 10]
    etags = {(await s3.put("k", body))["ETag"]: body for body in bodies}

    async def overwrite() -> None:
        for _ in range(20):
            for body in bodies:
                await s3.put("k", body)

    async def read() -> None:
        while not writing.done():
            found = await s3.run(s3.client.get_object, Bucket="bucket", Key="k")
            assert await asyncio.to_thread(found["Body"].read) == etags[found["ETag"]]

    writing = asyncio.create_task(overwrite())
    await asyncio.gather(*(read() for _ in range(4)))
    await writing


async def test_concurrent_puts_of_a_key_make_one_asset_and_one_folder(s3: S3) -> None:
    await asyncio.gather(*(s3.put("new/folder/a", bytes([n])) for n in range(8)))

    folders = await s3.backend.projections.keys.segments("alice", None, "")
    assert [each.segment for each in folders] == ["bucket/"]
    asset = await document(s3, "new/folder/a")
    assert asset["version"] == 8


async def test_a_put_beside_a_deletion_of_its_key_is_recorded(s3: S3) -> None:
    for n in range(40):
        await s3.put("a", b"%d" % n)
        await asyncio.gather(
            s3.run(s3.client.delete_object, Bucket="bucket", Key="a"), s3.put("a", b"beside")
        )

    await s3.put("a", b"last")
    assert await s3.get("a") == b"last"


async def test_the_newest_of_equal_names_answers(s3: S3) -> None:
    await s3.put("a", b"older")
    folder = (await document(s3, "a"))["parent_id"]

    stage = s3.backend.ledger.stage()
    await stage.write(b"newer")
    fields = read_fields({"name": "a", "parent_id": folder})
    asked = upload_request(fields, await stage.finish(), "alice")
    await s3.backend.ledger.create.asset(CallContext("alice"), *asked)

    assert await s3.get("a") == b"newer"
    assert await s3.keys() == ["a"]


@pytest.mark.parametrize(
    ("span", "expected"), [("bytes=0-1", b"01"), ("bytes=3-", b"3456"), ("bytes=-2", b"56")]
)
async def test_a_range_of_an_object(s3: S3, span: str, expected: bytes) -> None:
    await s3.put("a", b"0123456")

    assert await s3.get("a", Range=span) == expected


async def test_refusals_have_the_codes_of_s3(s3: S3) -> None:
    client = s3.client
    await s3.put("a", b"1")
    named = {"Bucket": "bucket", "Key": "a"}

    assert await refused(s3, client.get_object, Bucket="bucket", Key="no") == ("NoSuchKey", 404)
    assert await refused(s3, client.get_object, Bucket="no", Key="a") == ("NoSuchBucket", 404)
    assert await refused(s3, client.head_object, Bucket="bucket", Key="no") == ("404", 404)
    assert await refused(s3, client.delete_bucket, Bucket="bucket") == ("BucketNotEmpty", 409)
    assert await refused(s3, client.get_object, **named, Range="bytes=9-") == ("InvalidRange", 416)
    assert await refused(s3, client.get_object, **named, IfMatch='"x"') == (
        "PreconditionFailed",
        412,
    )
    assert await refused(s3, client.put_object, **named, IfNoneMatch="*") == (
        "PreconditionFailed",
        412,
    )
    wrong = {"Body": b"2", "ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert await refused(s3, client.put_object, **named, **wrong) == ("BadDigest", 400)
    wrong = {"Body": b"2", "ChecksumSHA256": "A" * 43 + "="}
    assert await refused(s3, client.put_object, **named, **wrong) == ("BadDigest", 400)
    tags: Any = {"TagSet": []}
    assert await refused(s3, client.put_object_tagging, **named, Tagging=tags) == (
        "NotImplemented",
        501,
    )
    assert await s3.get("a") == b"1"


async def test_a_client_that_has_the_bytes_gets_304(s3: S3) -> None:
    etag = (await s3.put("a", b"1"))["ETag"]

    found = await refused(s3, s3.client.get_object, Bucket="bucket", Key="a", IfNoneMatch=etag)

    assert found == ("304", 304)


async def test_a_delete_is_a_tombstone_and_works_twice(s3: S3) -> None:
    await s3.put("a", b"1")
    asset = await document(s3, "a")

    for _ in range(2):
        await s3.run(s3.client.delete_object, Bucket="bucket", Key="a")

    kept = await s3.backend.ledger.replay(Replay.asset, "alice", asset["id"])
    assert (kept.deleted, await s3.keys()) == (True, [])


async def test_delete_objects_deletes_what_is_there(s3: S3) -> None:
    for key in ("a", "b", "c/d"):
        await s3.put(key)
    names: Any = {"Objects": [{"Key": key} for key in ("a", "c/d", "no", "c/no/x")]}

    done = await s3.run(s3.client.delete_objects, Bucket="bucket", Delete=names)

    assert [each["Key"] for each in done["Deleted"]] == ["a", "c/d", "no", "c/no/x"]
    assert await s3.keys() == ["b"]


async def test_delete_objects_deletes_many_keys_and_repeated_ones_once(s3: S3) -> None:
    keys = [f"f/{number:02}" for number in range(40)]
    for key in keys:
        await s3.put(key)
    before = s3.backend.feed.head()
    names: Any = {"Objects": [{"Key": key} for key in [*keys[:35], *keys[:35]]]}

    done = await s3.run(s3.client.delete_objects, Bucket="bucket", Delete=names)

    assert len(done["Deleted"]) == 70
    assert await s3.keys() == keys[35:]
    assert s3.backend.feed.head() == before + 35


async def test_a_folder_that_was_put_is_a_key_of_its_own(s3: S3) -> None:
    delete, named = s3.client.delete_object, {"Bucket": "bucket", "Key": "put/"}
    await s3.put("put/", b"")
    await s3.put("put/a")
    assert await s3.keys() == ["put/", "put/a"]
    head = await s3.run(s3.client.head_object, **named)
    assert head["ContentLength"] == 0

    await s3.run(delete, **named)
    assert await s3.keys() == ["put/a"]
    assert await refused(s3, s3.client.head_object, **named) == ("404", 404)


async def test_a_prefix_is_gone_with_its_last_object_and_so_is_its_bucket(s3: S3) -> None:
    await s3.put("deep/er/a")
    await s3.run(s3.client.delete_object, Bucket="bucket", Key="deep/er/a")

    found = await s3.run(s3.client.list_objects_v2, Bucket="bucket", Delimiter="/")
    await s3.run(s3.client.delete_bucket, Bucket="bucket")

    assert found["KeyCount"] == 0
    assert (await s3.run(s3.client.list_buckets))["Buckets"] == []


async def test_a_copy_is_derived_from_its_source(s3: S3) -> None:
    await s3.put("a", b"1" * 100_000, Metadata={"x": "1"}, ContentType="text/x")
    source: Any = {"Bucket": "bucket", "Key": "a"}

    await s3.run(s3.client.copy_object, Bucket="bucket", Key="b/c", CopySource=source)

    copied, original = await document(s3, "b/c"), await document(s3, "a")
    assert copied["derived_from"] == [original["id"]]
    assert (copied["metadata"], copied["content_type"]) == ({"x": "1"}, "text/x")
    assert await s3.get("b/c") == b"1" * 100_000


async def test_a_presigned_address_works_without_a_key(s3: S3) -> None:
    await s3.put("a ü", b"1")
    named = {"Bucket": "bucket", "Key": "a ü"}
    get = s3.client.generate_presigned_url("get_object", Params=named)
    put = s3.client.generate_presigned_url("put_object", Params=named | {"Key": "b"})

    async with httpx.AsyncClient() as client:
        assert (await client.get(get)).content == b"1"
        assert (await client.get(get.replace("a%20", "b%20"))).status_code == 403
        assert (await client.put(put, content=b"2")).status_code == 200

    assert await s3.get("b") == b"2"


@pytest.mark.parametrize(
    "header", ["X-Amz-Copy-Source", "x-amz-meta-job-id", "x-amz-metadata-directive"]
)
async def test_a_presigned_address_allows_no_header_that_it_does_not_sign(
    s3: S3, header: str
) -> None:
    await s3.put("secret", b"1")
    put = s3.client.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "b"})

    async with httpx.AsyncClient() as client:
        answer = await client.put(put, headers={header: "/bucket/secret"})

    assert (answer.status_code, b"AccessDenied" in answer.content) == (403, True)
    assert await s3.keys() == ["secret"]


async def test_no_address_makes_a_browser_run_an_object(s3: S3) -> None:
    await s3.put("a.png", b"<script>alert(1)</script>", ContentType="image/png")
    asked = {"ResponseContentType": "text/html", "ResponseContentDisposition": "inline"}
    named = {"Bucket": "bucket", "Key": "a.png", **asked}
    get = s3.client.generate_presigned_url("get_object", Params=named)

    async with httpx.AsyncClient() as client:
        answer = await client.get(get)

    assert answer.headers["Content-Type"] == "text/html"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_without_a_known_key_nothing_is_answered(s3: S3) -> None:
    async with httpx.AsyncClient() as client:
        unsigned = await client.get(f"{s3.url}/bucket?list-type=2")
    unknown = client_of(s3.url, "unknown", s3.secret)
    wrong = client_of(s3.url, s3.key_id, "wrong")

    assert (unsigned.status_code, b"AccessDenied" in unsigned.content) == (403, True)
    assert await refused(s3, unknown.list_buckets) == ("InvalidAccessKeyId", 403)
    assert await refused(s3, wrong.list_buckets) == ("SignatureDoesNotMatch", 403)


async def test_a_revoked_key_is_refused(s3: S3) -> None:
    await s3.backend.tokens.revoke("1", s3.key_id)

    assert await refused(s3, s3.client.list_buckets) == ("InvalidAccessKeyId", 403)


@pytest.mark.in_a_folder("its keys are in a file")
async def test_a_user_sees_no_bucket_of_another_user(s3: S3, data_dir: Path) -> None:

    await s3.put("a", b"secret")
    made = await s3.backend.tokens.create("1", {"user_id": "bob", "scopes": ["read"]})
    S3KeyFile(data_dir / "s3-keys.json").keep(made["id"], made["token"])
    bob = client_of(s3.url, made["id"], made["token"])

    assert (await s3.run(bob.list_buckets))["Buckets"] == []
    assert await refused(s3, bob.get_object, Bucket="bucket", Key="a") == ("NoSuchBucket", 404)
    assert await refused(s3, bob.create_bucket, Bucket="b") == ("AccessDenied", 403)
    assert (data_dir / "s3-keys.json").stat().st_mode & 0o777 == 0o600


HOSTILE = [
    (
        "POST",
        "/bucket?delete",
        b'<!DOCTYPE x [<!ENTITY a "b">]><Delete>&a;</Delete>',
        "MalformedXML",
    ),
    ("POST", "/bucket?delete", b"<Delete><Object>", "MalformedXML"),
    ("POST", "/bucket?delete", b"<Delete/>", "MalformedXML"),
    ("POST", "/bucket?delete", b"x" * 3_000_000, "InvalidRequest"),
    ("PUT", "/bucket/a//b", b"", "InvalidArgument"),
    ("PUT", "/bucket/" + "k" * 1025, b"", "KeyTooLongError"),
    ("GET", "/bucket?list-type=2&continuation-token=%21", b"", "InvalidArgument"),
    ("GET", "/bucket?list-type=2&max-keys=x", b"", "InvalidArgument"),
    ("GET", "/bucket/%FF", b"", "InvalidArgument"),
    ("GET", "/bucket?acl", b"", "NotImplemented"),
    ("PUT", "/bucket/a?acl", b"", "NotImplemented"),
    ("PUT", "/bucket/a?tagging", b"", "NotImplemented"),
    ("PATCH", "/bucket/a", b"", "MethodNotAllowed"),
    ("PUT", "/bucket/a?uploadId=..%2F..%2Fetc&partNumber=1", b"", "NoSuchUpload"),
    ("PUT", "/bucket/a?uploadId=0&partNumber=0", b"", "InvalidArgument"),
]


async def test_bad_requests_are_refused_in_xml(s3: S3) -> None:
    key = Credentials(s3.key_id, s3.secret)
    async with httpx.AsyncClient() as client:
        for method, target, body, code in HOSTILE:
            signed = AWSRequest(method, s3.url + target, data=body)
            S3SigV4Auth(key, "s3", "us-east-1").add_auth(signed)
            headers = dict(signed.headers)
            answer = await client.request(method, signed.url, content=body, headers=headers)

            assert f"<Code>{code}</Code>" in answer.text, (method, target)
            assert 400 <= answer.status_code <= 501


async def test_bucket_in_the_host_name_is_found_below_the_configured_host(s3: S3) -> None:
    await s3.put("a/b ü", b"1")
    port = s3.url.rpartition(":")[2]
    key = Credentials(s3.key_id, s3.secret)
    answers = []
    async with httpx.AsyncClient() as client:
        for host, target in (
            (f"bucket.s3.test:{port}", "/a/b%20%C3%BC"),
            (f"bucket.s3.test:{port}", "/?list-type=2"),
            (f"s3.test:{port}", "/bucket/a/b%20%C3%BC"),
            ("no.s3.test", "/a"),
            ("bucket.other.test", "/a/b%20%C3%BC"),
        ):
            signed = AWSRequest("GET", f"http://{host}{target}")
            S3SigV4Auth(key, "s3", "us-east-1").add_auth(signed)
            headers = {**dict(signed.headers), "Host": host}
            answers.append(await client.get(s3.url + target, headers=headers))

    assert [each.status_code for each in answers] == [200, 200, 200, 404, 404]
    assert [answers[0].content, answers[2].content] == [b"1", b"1"]
    assert b"<Key>a/b \xc3\xbc</Key>" in answers[1].content
    assert b"NoSuchBucket" in answers[3].content
