"""Every checksum of S3 is compared: of a body, in a trailer, of parts, and of a joined object."""

import base64
import hashlib
import io
import os
from typing import Any

import httpx
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from asset_ledger.api.s3.checksums import ALGORITHMS, in_base64
from tests.api.s3.conftest import S3

BODY = b"123456789" * 20_000
NAMES = {name: f"Checksum{name.upper()}" for name in ALGORITHMS}
TARGET = {"Bucket": "bucket", "Key": "big"}

PUBLISHED = {
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "crc64nvme": "ae8b14860a799888",
    "md5": "25f9e794323b453885f5181f1b624d0b",
    "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "sha256": hashlib.sha256(b"123456789").hexdigest(),
    "sha512": hashlib.sha512(b"123456789").hexdigest(),
    "xxhash64": "8cb841db40e6ae83",
}
"""Checksums of 123456789 in the catalogue of CRCs, the RFCs, and the specification of xxHash."""


def checksum(name: str, body: bytes) -> str:
    computed = ALGORITHMS[name]()
    for start in range(0, len(body), 7_000):
        computed.update(body[start : start + 7_000])
    return in_base64(computed.digest())


@pytest.mark.parametrize("name", PUBLISHED)
def test_checksum_equals_the_published_one(name: str) -> None:
    assert base64.b64decode(checksum(name, b"123456789")).hex() == PUBLISHED[name]


@pytest.mark.slow
async def test_every_checksum_of_a_client_is_compared_and_confirmed(s3: S3) -> None:
    for name, member in NAMES.items():
        put = await s3.put(name, BODY, **{member: checksum(name, BODY)})
        assert put[member] == checksum(name, BODY)
        with pytest.raises(ClientError, match="BadDigest"):
            await s3.put(name, b"other", **{member: checksum(name, BODY)})
        assert await s3.get(name) == BODY


async def test_get_confirms_the_digest_of_a_whole_object(s3: S3) -> None:
    await s3.put("a", BODY)
    of_a = {"Bucket": "bucket", "Key": "a", "ChecksumMode": "ENABLED"}

    head = await s3.run(s3.client.head_object, **of_a)
    part = await s3.run(s3.client.get_object, **of_a, Range="bytes=1-2")

    assert head["ChecksumSHA256"] == checksum("sha256", BODY)
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert "ChecksumSHA256" not in part
    assert part["Body"].read() == b"23"


async def with_trailer(s3: S3, name: str, sent: str, announced: str = "") -> httpx.Response:
    """Put BODY in chunks that are not signed, with a checksum after the last one."""
    headers = {
        "x-amz-trailer": announced or name,
        "x-amz-decoded-content-length": str(len(BODY)),
        "content-encoding": "aws-chunked",
    }
    signed = AWSRequest("PUT", f"{s3.url}/bucket/trailer", headers=headers)
    signed.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    S3SigV4Auth(Credentials(s3.key_id, s3.secret), "s3", "us-east-1").add_auth(signed)
    assert signed.headers["X-Amz-Content-SHA256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    chunks = [BODY[:65_536], BODY[65_536:], b""]
    sized = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks if each)
    body = sized + f"0\r\n{name}:{sent}\r\n\r\n".encode()
    async with httpx.AsyncClient() as client:
        return await client.put(signed.url, content=body, headers=dict(signed.headers))


@pytest.mark.parametrize("name", ["crc32c", "crc64nvme", "xxhash3"])
async def test_checksum_in_a_trailer_is_compared(s3: S3, name: str) -> None:
    field = f"x-amz-checksum-{name}"

    right = await with_trailer(s3, field, checksum(name, BODY))
    wrong = await with_trailer(s3, field, checksum(name, b"other"))
    absent = await with_trailer(s3, "x-other", "", announced=field)

    assert (right.status_code, right.headers[field]) == (200, checksum(name, BODY))
    assert [each.status_code for each in (wrong, absent)] == [400, 400]
    assert b"BadDigest" in wrong.content
    assert await s3.get("trailer") == BODY


async def test_unknown_checksum_is_refused(s3: S3) -> None:
    refused = await with_trailer(s3, "x-amz-checksum-crc128", "AAAA")

    assert (refused.status_code, b"NotImplemented" in refused.content) == (501, True)
    assert await s3.keys() == []


@pytest.mark.parametrize("algorithm", ["CRC32C", "CRC64NVME"])
async def test_transfer_in_parts_with_checksums_is_one_object(s3: S3, algorithm: str) -> None:
    body, in_parts = os.urandom(11 << 20), TransferConfig(multipart_threshold=5 << 20)
    more = {"ExtraArgs": {"ChecksumAlgorithm": algorithm}, "Config": in_parts}

    await s3.run(s3.client.upload_fileobj, Fileobj=io.BytesIO(body), **TARGET, **more)

    assert await s3.get("big") == body


PARTS = (os.urandom(70_000), b"second", b"")


async def begun(s3: S3, name: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Begin an upload and send its parts; return it, and what a completion lists."""
    made = await s3.run(s3.client.create_multipart_upload, **TARGET, ChecksumAlgorithm=name.upper())
    upload, listed = {**TARGET, "UploadId": made["UploadId"]}, []
    for number, body in enumerate(PARTS, 1):
        sent = await s3.run(
            s3.client.upload_part,
            **upload,
            PartNumber=number,
            Body=body,
            ChecksumAlgorithm=name.upper(),
        )
        member = NAMES[name]
        listed.append({"PartNumber": number, "ETag": sent["ETag"], member: sent[member]})
    return upload, listed


async def complete(s3: S3, upload: dict[str, str], parts: Any, **members: Any) -> Any:
    listed = {"Parts": parts}
    call = s3.client.complete_multipart_upload
    return await s3.run(call, **upload, MultipartUpload=listed, **members)


@pytest.mark.parametrize("name", ["crc32c", "crc64nvme", "sha256"])
@pytest.mark.slow
async def test_checksums_of_parts_and_of_the_object_are_compared(s3: S3, name: str) -> None:
    upload, parts = await begun(s3, name)
    member, body = NAMES[name], b"".join(PARTS)
    digests = b"".join(base64.b64decode(part[member]) for part in parts)
    composite, wrong = f"{checksum(name, digests)}-3", checksum(name, b"other")

    for error, listed, members in (
        ("InvalidPart", [parts[0] | {member: wrong}, *parts[1:]], {}),
        ("BadDigest", parts, {member: wrong}),
        ("BadDigest", parts, {member: f"{wrong}-3"}),
        ("BadDigest", parts, {member: composite.replace("-3", "-2")}),
        ("InvalidRequest", parts, {"MpuObjectSize": len(body) + 1}),
    ):
        with pytest.raises(ClientError, match=error):
            await complete(s3, upload, listed, **members)
    if name != "sha256":
        whole = {member: checksum(name, body), "ChecksumType": "FULL_OBJECT"}
        await complete(s3, upload, parts, **whole, MpuObjectSize=len(body))
        assert await s3.get("big") == body
        upload, parts = await begun(s3, name)
    await complete(s3, upload, parts, **{member: composite, "ChecksumType": "COMPOSITE"})

    assert await s3.get("big") == body
