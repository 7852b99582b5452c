"""PUT on a content: new bytes as a body, of any size, as a new version."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.ids import digest_of
from tests.api.http.test_editing import folder, path
from tests.api.running import Answer, Api, serving, stray_files


async def send(api: Api, asset: Any, body: bytes | AsyncIterator[bytes], **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{path(asset)}/content"
    return await api.call("PUT", url, data=body, headers=named, skip_auto_headers=["Content-Type"])


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 4):
        yield content[start : start + 4]


@pytest.mark.parametrize("size", [0, 1, 65_537, 3_000_000])
async def test_put_replaces_the_content_with_the_body(api: Api, size: int) -> None:
    asset = await api.created(b"old", name="a", content_type="text/plain")
    content = (bytes(range(256)) * (size // 256 + 1))[:size]

    answer = await send(api, asset, content)

    assert answer.status == 200, answer.body
    assert (answer.json["size"], answer.json["digest"]) == (size, digest_of(content))
    kept = {name: answer.json[name] for name in ("id", "name", "content_type", "version")}
    assert kept == {"id": asset["id"], "name": "a", "content_type": "text/plain", "version": 2}
    assert (await api.get(asset["get_url"])).body == content
    assert (await api.get(f"{asset['get_url']}?version=1")).body == b"old"


async def test_put_takes_the_content_type_from_its_header(api: Api) -> None:
    asset = await api.created(b"old", content_type="text/plain")

    answer = await send(api, asset, b"{}", Content_Type="application/json; charset=utf-8")

    assert answer.json["content_type"] == "application/json; charset=utf-8"
    assert (await send(api, asset, b"{}")).json["version"] == answer.json["version"] == 2


async def test_put_adds_bytes_to_an_asset_without_content_and_refuses_a_folder(api: Api) -> None:
    note, renders = await api.created(None, name="note"), await folder(api)

    assert (await send(api, note, b"x")).json["get_url"] == f"{path(note)}/content"
    refused = await send(api, renders, b"x")
    assert (refused.status, refused.slug) == (422, "bad-field")


async def test_put_checks_a_digest_header_against_the_body(api: Api, data_dir: Any) -> None:
    asset = await api.created(b"old")
    right, wrong = (
        f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"
        for content in (b"new", b"other")
    )

    for header in ("Repr_Digest", "Content_Digest"):
        refused = await send(api, asset, b"new", **{header: wrong})
        assert (refused.status, refused.slug) == (400, "digest-mismatch")
        odd = await send(api, asset, b"new", **{header: "sha-256=:?:"})
        assert (odd.status, odd.slug) == (400, "bad-parameter")
    assert (await send(api, asset, b"new", Repr_Digest=right)).status == 200
    assert stray_files(data_dir) == []


async def test_put_to_a_changed_or_missing_asset_is_refused_before_its_body(api: Api) -> None:
    asset, gone = await api.created(b"old"), await api.created(b"gone")
    await api.call("DELETE", path(gone))

    for target, if_match, status in (
        (path(asset), "v7", 412),
        (path(gone), "*", 410),
        (f"/api/assets/{'0' * 32}", "*", 404),
    ):
        answer = await api.raw(
            f"PUT {target}/content HTTP/1.1\r\nHost: localhost\r\nIf-Match: {if_match}\r\n"
            "Content-Length: 900000\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "no type"]
)
async def test_put_refuses_a_form_or_an_invalid_content_type(api: Api, kind: str) -> None:
    answer = await send(api, await api.created(), b"x", Content_Type=kind)

    assert (answer.status, answer.slug) in ((415, "unsupported-type"), (422, "bad-field"))


async def test_put_refuses_a_body_above_the_upload_limit(data_dir: Any) -> None:
    async with serving(Settings(data_dir=data_dir, max_upload_bytes=10)) as api:
        asset = await api.created(b"old")
        for body in (b"x" * 11, in_pieces(b"x" * 11)):
            answer = await send(api, asset, body)
            assert (answer.status, answer.slug) == (413, "too-large")
        assert (await send(api, asset, in_pieces(b"x" * 10))).status == 200


async def test_a_repeated_put_is_replayed_after_a_deletion(api: Api) -> None:
    asset = await api.created(b"old")
    sent = {"Idempotency_Key": "k", "If_Match": asset["etag"]}

    first = await send(api, asset, b"new", **sent)
    await api.call("DELETE", path(asset))
    repeated = await send(api, asset, b"new", **sent)
    other = await send(api, asset, b"other", **sent)

    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert (repeated.status, repeated.json) == (first.status, first.json)
    assert (other.status, other.slug) == (422, "key-reused")


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ("application/octet-stream", "text/plain"),
        ("Application/Octet-Stream; charset=binary", "text/plain"),
        ("IMAGE/PNG", "image/png"),
    ],
)
async def test_the_type_of_new_bytes_counts_if_it_says_something(
    api: Api, declared: str, kept: str
) -> None:
    asset = await api.created(b"old", content_type="text/plain")

    answer = await send(api, asset, b"new", Content_Type=declared)

    assert (answer.status, answer.json["content_type"]) == (200, kept)
