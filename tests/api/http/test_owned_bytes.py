"""Uploads by digest: bytes that the caller already owns need not be sent again."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.ids import digest_of
from tests.api.running import Answer, Api, serving
from tests.builders import new_asset

LARGE = b"large" * 20_000


async def by_digest(api: Api, content: bytes, key: str | None = None, **fields: Any) -> Answer:
    """POST the fields with the digest of a content instead of the content."""
    fields = {"name": "again", "digest": digest_of(content), **fields}
    headers = {"Idempotency-Key": key} if key else {}
    return await api.call("POST", "/api/assets", json=fields, headers=headers)


@pytest.mark.parametrize("content", [b"", b"small", LARGE])
async def test_an_asset_is_created_from_the_digest_of_owned_bytes(api: Api, content: bytes) -> None:
    first = await api.created(content, name="first")

    answer = await by_digest(api, content, size=len(content), node_id="n")

    assert answer.status == 201, answer.body
    assert (answer.json["digest"], answer.json["size"]) == (first["digest"], len(content))
    assert (await api.get(answer.json["get_url"])).body == content


async def test_the_content_type_is_detected_from_the_bytes_or_declared(api: Api) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(20)
    await api.created(png, content_type="text/plain")

    detected = await by_digest(api, png)
    declared = await by_digest(api, png, content_type="image/x-mine")

    assert detected.json["content_type"] == "image/png"
    assert declared.json["content_type"] == "image/x-mine"


async def test_digests_of_unknown_bytes_and_of_another_user_are_refused_alike(
    data_dir: Path,
) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        ledger = api.backend.ledger
        stage = ledger.stage()
        await stage.write(b"theirs")
        staged = await stage.finish()
        from_form = await api.created(b"mine")
        await ledger.create.asset(CallContext("2"), new_asset(name="theirs"), staged, {})

        refusals = [
            await by_digest(api, b"theirs"),
            await by_digest(api, b"theirs", size=5),
            await by_digest(api, b"unknown"),
        ]

        assert from_form["user_id"] == "1"
        assert {(answer.status, answer.slug) for answer in refusals} == {(422, "bad-field")}
        details = {answer.json["detail"] for answer in refusals}
        assert len(details) == 1


async def test_bytes_of_a_deleted_asset_and_of_an_earlier_version_are_not_owned(api: Api) -> None:
    asset = await api.created(b"one")
    await api.call("PUT", f"/api/assets/{asset['id']}", json={"data": "two"})

    assert (await by_digest(api, b"one")).status == 422
    assert (await by_digest(api, b"two")).status == 201
    for listed in (await api.get("/api/assets")).json["assets"]:
        await api.call("DELETE", f"/api/assets/{listed['id']}")
    assert (await by_digest(api, b"two")).status == 422


@pytest.mark.parametrize("digest", ["sha256:0", "md5:" + "0" * 32])
async def test_an_invalid_digest_is_refused(api: Api, digest: str) -> None:
    answer = await api.call("POST", "/api/assets", json={"name": "n", "digest": digest})

    assert [error["field"] for error in answer.json["errors"]] == ["digest"]


async def test_a_retry_by_digest_or_form_is_replayed_after_the_bytes_are_deleted(api: Api) -> None:
    owner = await api.created(b"bytes")
    first = await by_digest(api, b"bytes", "k", content_type="image/png")
    formed = await api.upload(
        b"bytes", name="again", content_type="image/png", headers={"Idempotency-Key": "k"}
    )
    for asset in (owner, first.json):
        await api.call("DELETE", f"/api/assets/{asset['id']}")

    repeated = await by_digest(api, b"bytes", "k", content_type="image/png")
    other = await by_digest(api, b"bytes", "k", content_type="image/gif")

    for replay in (formed, repeated):
        assert (replay.status, replay.json) == (201, first.json)
        assert replay.headers["Idempotency-Replayed"] == "true"
    assert (other.status, other.slug) == (422, "key-reused")


def waiting_upload(content: bytes, *, length: int | None = None) -> bytes:
    """Return the head of a raw upload that waits for 100 Continue before it sends its body."""
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return (
        f"POST /api/assets?name=n HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        f"Content-Type: image/png\r\nRepr-Digest: sha-256=:{digest}:\r\n"
        f"Content-Length: {len(content) if length is None else length}\r\n\r\n"
    ).encode()


async def test_100_continue_is_not_sent_for_an_upload_of_owned_bytes(
    api: Api,
) -> None:
    await api.created(LARGE)

    answer = await api.raw(waiting_upload(LARGE))  # returns only once the server closes

    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"\r\nConnection: close\r\n" in answer  # else the body could be the next request
    assert b"100 Continue" not in answer
    assert b'"content_type":"image/png"' in answer
    assert digest_of(LARGE).encode() in answer


async def test_100_continue_is_sent_for_an_upload_of_other_bytes(api: Api) -> None:
    await api.created(b"mine")

    for head in (waiting_upload(b"other"), waiting_upload(b"mine", length=5)):
        closing = head.replace(b"Host:", b"Connection: close\r\nHost:")
        answer = await api.raw(closing + b"other")
        assert answer.startswith(b"HTTP/1.1 100 Continue")
