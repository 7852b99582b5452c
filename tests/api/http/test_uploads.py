"""Resumable uploads by tus 1.0: bytes arrive in several requests, and become one asset."""

import asyncio
import hashlib
import random
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.api.settings import Settings
from tests.api.calling import caller, serving_with_tokens
from tests.api.running import Answer, Api, serving

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
CONTENT = random.Random("tus").randbytes(200_000)


def metadata(**fields: Any) -> str:
    """Encode fields as Upload-Metadata."""
    texts = {k: v if isinstance(v, str) else orjson.dumps(v).decode() for k, v in fields.items()}
    return ",".join(f"{name} {b64encode(text.encode()).decode()}" for name, text in texts.items())


async def create(
    api: Api, length: int, headers: Mapping[str, str] = {}, data: bytes | None = None, **fields: Any
) -> Answer:
    """Create an upload; `data`: its first bytes."""
    declared = {
        "Upload-Length": str(length),
        "Upload-Metadata": metadata(**{"name": "a.bin"} | fields),
    }
    kind = {} if data is None else BYTES
    return await api.call(
        "POST", "/api/uploads", headers={**TUS, **declared, **kind, **headers}, data=data
    )


async def created(api: Api, length: int, **fields: Any) -> str:
    """Create an upload, and return its path."""
    answer = await create(api, length, **fields)
    assert answer.status == 201, answer.body
    return answer.headers["Location"]


async def append(api: Api, path: str, offset: int, data: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {**BYTES, "Upload-Offset": str(offset), **named}
    return await api.call("PATCH", path, headers=sent, data=data)


async def head(api: Api, path: str) -> Answer:
    return await api.call("HEAD", path, headers=TUS)


async def content_of(api: Api, answer: Answer) -> bytes:
    """Return the bytes of the asset that an upload became."""
    return (await api.get(f"/api/assets/{answer.headers['Ledger-Asset']}/content")).body


async def recorded(api: Api) -> list[Any]:
    found: list[Any] = (await api.get("/api/assets")).json["assets"]
    return found


async def metrics(api: Api) -> str:
    return (await api.get("/metrics")).body.decode()


def unfinished(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "content" / "uploads").glob("*"))


@pytest.mark.parametrize("size", [0, 1, 60_000, 65_536, 65_537, 200_000])
async def test_upload_in_pieces_becomes_one_asset(api: Api, size: int) -> None:
    content = CONTENT[:size]
    path = await created(api, size, content_type="image/png", job_id="j", tags=["a", "ä"])

    last = await head(api, path)
    for offset in range(0, size, 70_000):
        last = await append(api, path, offset, content[offset : offset + 70_000])
        assert (last.status, last.body) == (204, b"")
        assert last.headers["Upload-Offset"] == str(min(size, offset + 70_000))

    (asset,) = await recorded(api)
    assert asset["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert (asset["name"], asset["job_id"], asset["tags"]) == ("a.bin", "j", ["a", "ä"])
    assert await content_of(api, last) == content
    assert unfinished(api.backend.settings) == []


async def test_head_of_a_finished_upload_names_its_asset(api: Api) -> None:
    path = await created(api, 3)
    await append(api, path, 0, b"abc")

    again = await append(api, path, 0, b"abc")
    empty = await append(api, path, 3, None, Prefer="return=representation")
    found = await head(api, path)

    assert (again.status, again.slug, again.json["offset"]) == (409, "upload-offset", 3)
    assert (empty.status, empty.json["id"]) == (200, path.rpartition("/")[2])
    assert (found.status, found.headers["Upload-Offset"]) == (200, "3")
    assert found.headers["Ledger-Asset"] == empty.json["id"]
    assert len(await recorded(api)) == 1


async def test_creation_with_all_bytes_records_the_asset(api: Api) -> None:
    answer = await create(api, 3, {"Prefer": "return=representation"}, b"abc")

    assert (answer.status, answer.json["size"]) == (201, 3)
    assert answer.headers["Location"] == f"/api/uploads/{answer.json['id']}"
    assert answer.headers["Upload-Offset"] == "3"


async def test_creation_with_first_bytes_answers_their_offset(api: Api) -> None:
    answer = await create(api, 5, data=b"abc")
    path = answer.headers["Location"]

    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "3")
    assert answer.headers["Upload-Expires"].endswith(" GMT")
    assert await recorded(api) == []
    assert await content_of(api, await append(api, path, 3, b"de")) == b"abcde"


async def test_options_answer_what_the_server_supports(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path, max_upload_bytes=5)) as api:
        answer = await api.call("OPTIONS", "/api/uploads")
        too_large = await create(api, 6)

    assert (answer.status, answer.headers["Tus-Version"]) == (204, "1.0.0")
    assert answer.headers["Tus-Max-Size"] == "5"
    assert answer.headers["Tus-Extension"] == (
        "creation,creation-with-upload,checksum,expiration,termination"
    )
    assert "sha1" in answer.headers["Tus-Checksum-Algorithm"]
    assert (too_large.status, too_large.slug) == (413, "too-large")


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("version", [None, "0.2.2"])
async def test_request_of_another_version_is_refused(
    api: Api, method: str, version: str | None
) -> None:
    headers = {"Upload-Length": "3"} if version is None else {"Tus-Resumable": version}
    path = "/api/uploads" if method == "POST" else await created(api, 3)

    answer = await api.call(method, path, headers=headers)

    assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")
    assert version is None or answer.headers["Tus-Resumable"] == "1.0.0"


@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({"Upload-Length": "-1"}, 400, "bad-parameter"),
        ({"Upload-Length": "1_0"}, 400, "bad-parameter"),
        ({"Upload-Length": "9" * 40}, 400, "bad-parameter"),
        ({"Upload-Defer-Length": "1"}, 400, "bad-parameter"),
        ({"Upload-Concat": "partial"}, 400, "bad-parameter"),
        ({"Upload-Length": str(2**62)}, 507, "disk-full"),
        ({"Upload-Metadata": "name"}, 422, "bad-field"),
        ({"Upload-Metadata": "name !"}, 400, "bad-parameter"),
        ({"Upload-Metadata": "name YQ==,name YQ=="}, 400, "bad-parameter"),
        ({"Upload-Metadata": "name YQ==,"}, 400, "bad-parameter"),
        ({"Upload-Metadata": "name /w=="}, 400, "bad-parameter"),
        ({"Upload-Metadata": metadata(name="a\nb")}, 422, "bad-field"),
        ({"Upload-Metadata": metadata(name="a\0b")}, 422, "bad-field"),
        ({"Upload-Metadata": metadata(name="a", nodeid="n")}, 422, "bad-field"),
        ({"Upload-Metadata": metadata(name="a", tags="x")}, 400, "malformed-body"),
        ({"Upload-Metadata": metadata(name="a", attempt='1,"x":2')}, 400, "bad-parameter"),
        ({"Upload-Metadata": metadata(name="a", size=4)}, 422, "bad-field"),
        ({"Upload-Metadata": metadata(name="a", digest="sha256:x")}, 422, "bad-field"),
        ({"Upload-Metadata": metadata(name="a", parent_id="0" * 32)}, 422, "bad-field"),
        ({"Upload-Metadata": metadata(name="a", metadata={"k": "v" * 40_000})}, 413, "too-large"),
        ({"Upload-Checksum": "crc32 AAAA"}, 400, "bad-parameter"),
        ({"Upload-Checksum": "sha1 !"}, 400, "bad-parameter"),
    ],
)
async def test_invalid_declaration_is_refused_and_stores_nothing(
    api: Api, headers: dict[str, str], status: int, slug: str
) -> None:
    answer = await create(api, 3, headers)

    assert (answer.status, answer.slug) == (status, slug), answer.body
    assert unfinished(api.backend.settings) == []


async def test_every_field_of_an_asset_can_be_declared(api: Api) -> None:
    source = await api.created(b"source")
    fields = {
        "name": "😀 é",
        "content_type": "text/x-a",
        "workflow_id": "w",
        "node_id": "n",
        "job_id": "j",
        "attempt": 1,
        "metadata": {"k": [1, 2.5, None], "long": "x" * 20_000},
        "tags": ["t"],
        "duration": 2,
        "derived_from": [source["id"]],
        "made_at": "2020-01-01T00:00:00Z",
        "size": 3,
        "digest": "sha256:" + hashlib.sha256(b"abc").hexdigest(),
        "parent_id": "1",
    }

    answer = await create(api, 3, {"Prefer": "return=representation"}, b"abc", **fields)

    assert answer.status == 201, answer.body
    for name, value in fields.items():
        if name not in ("made_at", "attempt"):
            assert answer.json[name] == value


async def test_names_of_other_clients_are_understood(api: Api) -> None:
    headers = {"Upload-Metadata": metadata(filename="x.txt", filetype="text/x-b", type="")}
    headers["Prefer"] = "return=representation"

    answer = await create(api, 1, headers, b"a")

    assert (answer.json["name"], answer.json["content_type"]) == ("x.txt", "text/x-b")


@pytest.mark.parametrize(("lenient", "status"), [(False, 422), (True, 201)])
async def test_a_name_of_other_clients_is_ignored_where_queries_are_lenient(
    tmp_path: Path, lenient: bool, status: int
) -> None:
    headers = {"Upload-Metadata": metadata(name="a", relativePath="null")}

    async with serving(Settings(data_dir=tmp_path, lenient_queries=lenient)) as api:
        answer = await create(api, 1, headers, b"a")

    assert answer.status == status


async def test_undeclared_type_is_detected(api: Api) -> None:
    content = b"\x89PNG\r\n\x1a\n" + CONTENT

    answer = await create(api, len(content), {"Prefer": "return=representation"}, content)

    assert answer.json["content_type"] == "image/png"


async def test_head_answers_the_declaration_of_an_unfinished_upload(api: Api) -> None:
    declared = metadata(name="a", tags=["x"])
    path = (await create(api, 5, {"Upload-Metadata": declared}, b"ab")).headers["Location"]

    answer = await head(api, path)
    shown = (await api.call("GET", path, headers=TUS)).json

    assert (answer.headers["Upload-Length"], answer.headers["Upload-Offset"]) == ("5", "2")
    assert answer.headers["Upload-Metadata"] == declared
    assert answer.headers["Cache-Control"] == "no-store"
    assert (shown["offset"], shown["length"], shown["asset_id"]) == (2, 5, None)


async def test_bytes_at_another_offset_are_refused(api: Api) -> None:
    path = (await create(api, 10, data=b"abc")).headers["Location"]

    for offset in (0, 2, 4, 10, 11):
        answer = await append(api, path, offset, b"")
        assert (answer.status, answer.slug in ("upload-offset", "too-large")) == (
            (409, True) if offset <= 10 else (413, True)
        )
    for text in ("", "x", "-1"):
        answer = await append(api, path, 0, b"abc", Upload_Offset=text)
        assert (answer.status, answer.slug) == (400, "bad-parameter")

    assert (await head(api, path)).headers["Upload-Offset"] == "3"


async def test_body_of_another_type_is_refused(api: Api) -> None:
    path = await created(api, 3)

    answer = await append(api, path, 0, b"abc", Content_Type="application/octet-stream")
    at_creation = await create(api, 3, {"Content-Type": "text/plain"}, b"abc")

    assert (answer.status, answer.slug) == (415, "unsupported-type")
    assert (at_creation.status, at_creation.slug) == (415, "unsupported-type")


@pytest.mark.parametrize("chunked", [False, True])
async def test_more_bytes_than_declared_are_refused(api: Api, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, 200_000, 50_000):
            yield CONTENT[start : start + 50_000]

    path = await created(api, 150_000)

    answer = await append(api, path, 0, pieces() if chunked else CONTENT)

    assert (answer.status, answer.slug) == (413, "too-large")
    assert (await head(api, path)).headers["Upload-Offset"] == "0"
    assert (await append(api, path, 0, CONTENT[:150_000])).status == 204


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5"])
async def test_bytes_with_their_checksum_are_stored(api: Api, algorithm: str) -> None:
    path, half = await created(api, 200_000), CONTENT[:100_000]

    def checksum(content: bytes) -> str:
        return f"{algorithm} {b64encode(hashlib.new(algorithm, content).digest()).decode()}"

    wrong = await append(api, path, 0, half, Upload_Checksum=checksum(b"other"))
    assert (wrong.status, wrong.slug) == (460, "checksum-mismatch")
    assert (await head(api, path)).headers["Upload-Offset"] == "0"

    assert (await append(api, path, 0, half, Upload_Checksum=checksum(half))).status == 204
    rest = CONTENT[100_000:]
    last = await append(api, path, 100_000, rest, Upload_Checksum=checksum(rest))
    assert await content_of(api, last) == CONTENT


@pytest.mark.parametrize("value", ["sha256 \u00e4", "sha256 =", "md5 \U0001f600", "sha1 x"])
async def test_a_checksum_that_is_not_base64_is_refused(api: Api, value: str) -> None:
    path = await created(api, 3)

    refused = await append(api, path, 0, b"abc", Upload_Checksum=value)

    assert (refused.status, refused.slug) == (400, "bad-parameter")
    assert "base64" in refused.json["detail"]


async def test_digest_of_other_bytes_ends_the_upload(api: Api) -> None:
    path = await created(api, 3, digest="sha256:" + "0" * 64)

    answer = await append(api, path, 0, b"abc")

    assert (answer.status, answer.slug) == (400, "digest-mismatch")
    assert (await head(api, path)).status == 404
    assert unfinished(api.backend.settings) == []


async def test_deleted_upload_is_gone(api: Api) -> None:
    path = (await create(api, 10, data=b"abc")).headers["Location"]

    deleted = await api.call("DELETE", path, headers=TUS)

    assert deleted.status == 204
    assert (await head(api, path)).status == 404
    assert (await api.call("DELETE", path, headers=TUS)).slug == "unknown-upload"
    assert (await append(api, path, 3, b"abc")).slug == "unknown-upload"
    assert unfinished(api.backend.settings) == []


async def test_deletion_of_a_finished_upload_leaves_its_asset(api: Api) -> None:
    path = (await create(api, 3, data=b"abc")).headers["Location"]

    assert (await api.call("DELETE", path, headers=TUS)).status == 404
    assert len(await recorded(api)) == 1


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "HEAD", "PUT"])
async def test_overridden_method_is_the_method_that_counts(api: Api, method: str) -> None:
    path = await created(api, 3)

    headers = {**BYTES, "X-HTTP-Method-Override": method, "Upload-Offset": "0"}
    body = b"abc" if method == "PATCH" else None
    answer = await api.call("POST", path, headers=headers, data=body)

    assert answer.status == {"PATCH": 204, "DELETE": 204, "HEAD": 200, "PUT": 405}[method]
    assert len(await recorded(api)) == (method == "PATCH")


async def test_bytes_of_a_request_that_broke_off_are_kept(api: Api) -> None:
    path = await created(api, 200_000)

    await api.raw(begun(path, 200_000) + CONTENT[:123_456], half_close=True)

    last = await until(lambda: append(api, path, 123_456, CONTENT[123_456:]), 204)
    assert await content_of(api, last) == CONTENT


async def test_bytes_with_a_checksum_that_broke_off_are_dropped(api: Api) -> None:
    path = await created(api, 200_000)
    checksum = "sha1 " + b64encode(hashlib.sha1(CONTENT).digest()).decode()
    sent = begun(path, 200_000, f"Upload-Checksum: {checksum}") + CONTENT[:123_456]

    await api.raw(sent, half_close=True)

    assert (await head(api, path)).headers["Upload-Offset"] == "0"
    last = await until(lambda: append(api, path, 0, CONTENT, Upload_Checksum=checksum), 204)
    assert await content_of(api, last) == CONTENT


async def until(call: Callable[[], Awaitable[Answer]], status: int, has: bytes = b"") -> Answer:
    """Call again and again until an answer has this status and text; return that answer."""
    async with asyncio.timeout(60):
        while True:
            answer = await call()
            if answer.status == status and has in answer.body:
                return answer
            await asyncio.sleep(0.02)


def begun(path: str, length: int, *headers: str) -> bytes:
    """Return the head of a PATCH of this many bytes at offset 0."""
    lines = [
        f"PATCH {path} HTTP/1.1",
        "Host: localhost",
        "Tus-Resumable: 1.0.0",
        "Content-Type: application/offset+octet-stream",
        "Upload-Offset: 0",
        f"Content-Length: {length}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_second_sender_is_refused_while_the_first_sends(api: Api) -> None:
    ended = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield CONTENT[:100_000]
        for at in range(100_000, 200_000):
            if not ended.is_set():
                await asyncio.sleep(0.01)
            yield CONTENT[at : at + 1]

    path = await created(api, 200_000)
    first = asyncio.create_task(append(api, path, 0, slowly()))
    second = await until(lambda: append(api, path, 5, b"x"), 423)
    ended.set()

    assert (second.slug, second.headers["Retry-After"]) == ("upload-locked", "1")
    assert await content_of(api, await first) == CONTENT


@pytest.mark.slow
async def test_sender_that_stalls_is_replaced(api: Api) -> None:
    path = await created(api, 200_000)
    _, writer = await asyncio.open_connection(*api.url.removeprefix("http://").split(":"))
    writer.write(begun(path, 200_000) + CONTENT[:100_000])
    await writer.drain()

    answer = await until(lambda: append(api, path, 100_000, CONTENT[100_000:]), 204)
    writer.close()

    assert await content_of(api, answer) == CONTENT


async def test_deletion_ends_the_sender(api: Api) -> None:
    path = await created(api, 200_000)
    reader, writer = await asyncio.open_connection(*api.url.removeprefix("http://").split(":"))
    writer.write(begun(path, 200_000) + CONTENT[:100_000])
    await until(lambda: append(api, path, 5, b"x"), 423)

    assert (await api.call("DELETE", path, headers=TUS)).status == 204
    async with asyncio.timeout(60):
        await reader.read()  # until the connection is closed
    writer.close()
    assert unfinished(api.backend.settings) == []


async def test_last_bytes_sent_by_two_requests_record_one_asset(api: Api) -> None:
    path = (await create(api, 200_000, data=CONTENT[:100_000])).headers["Location"]

    answers = await asyncio.gather(
        *(append(api, path, 100_000, CONTENT[100_000:]) for _ in range(5)), head(api, path)
    )

    statuses = sorted(answer.status for answer in answers[:-1])
    assert statuses[0] == 204
    assert set(statuses[1:]) <= {409, 423}
    assert len(await recorded(api)) == 1


@pytest.mark.slow
async def test_expired_upload_is_removed_and_counted(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path, upload_lifetime="1s")) as api:
        path = (await create(api, 10, data=b"abc")).headers["Location"]
        await until(lambda: head(api, path), 404)
        counted = b"asset_ledger_expired_uploads_total 1.0"
        text = (await until(lambda: api.get("/metrics"), 200, counted)).body.decode()

    assert not [*(tmp_path / "content" / "uploads").iterdir()]
    assert "asset_ledger_unfinished_uploads 0.0" in text


@pytest.mark.slow
@pytest.mark.in_a_folder("a database has no such files")
async def test_an_upload_with_an_unreadable_state_expires_too(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        path = (await create(api, 10, data=b"abc")).headers["Location"]
    uploads = data_dir / "content" / "uploads"
    (state,) = uploads.glob("*.json")
    state.write_bytes(state.read_bytes()[:40])
    async with serving(Settings(data_dir=data_dir)) as api:
        assert (await head(api, path)).status == 404
        assert len([*uploads.iterdir()]) == 2
    async with serving(Settings(data_dir=data_dir, upload_lifetime="1s")) as api:
        counted = b"asset_ledger_expired_uploads_total 1.0"
        await until(lambda: api.get("/metrics"), 200, counted)

    assert not [*uploads.iterdir()]


async def test_unfinished_uploads_are_counted_and_listed_nowhere(api: Api) -> None:
    await created(api, 10)
    await create(api, 10, data=b"abc")
    await create(api, 3, data=b"abc")

    text = await metrics(api)

    assert "asset_ledger_unfinished_uploads 2.0" in text
    assert "asset_ledger_unfinished_upload_bytes 3.0" in text
    assert "asset_ledger_uploads_total 1.0" in text
    assert len(await recorded(api)) == 1
    assert (await api.get("/api/assets?deleted=any&count=exact")).json["count"] == 1


async def test_restart_keeps_offset_and_declaration(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with serving(settings) as api:
        path = (await create(api, 200_000, data=CONTENT[:100_000], job_id="j")).headers["Location"]
    (bytes_file,) = (tmp_path / "content" / "uploads").glob("*.bytes")
    with bytes_file.open("ab") as file:
        file.write(b"not durable")

    async with serving(settings) as api:
        assert (await head(api, path)).headers["Upload-Offset"] == "100000"
        await append(api, path, 100_000, CONTENT[100_000:150_000])
        last = await append(api, path, 150_000, CONTENT[150_000:])

        assert await content_of(api, last) == CONTENT
        assert (await recorded(api))[0]["job_id"] == "j"


async def test_whole_upload_is_recorded_after_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with serving(settings) as api:
        folder = await api.created(None, name="f", content_type="folder")
        path = await created(api, 3, parent_id=folder["id"])
        await api.call("DELETE", f"/api/assets/{folder['id']}")
        refused = await append(api, path, 0, b"abc")
        await api.call("POST", f"/api/assets/{folder['id']}/restore")
    assert refused.status in (409, 410, 422)

    async with serving(settings) as api:
        await until(lambda: api.get(f"/api/assets/{path.rpartition('/')[2]}"), 200)
        (asset,) = [each for each in await recorded(api) if each["name"] == "a.bin"]

        assert asset["id"] == path.rpartition("/")[2]
        assert (await head(api, path)).headers["Ledger-Asset"] == asset["id"]


async def test_key_makes_the_creation_safe_to_repeat(api: Api) -> None:
    key = {"Idempotency-Key": "k"}

    first = await create(api, 200_000, key, CONTENT[:100_000])
    again = await create(api, 200_000, key)
    other = await create(api, 200_001, key)
    await append(api, first.headers["Location"], 100_000, CONTENT[100_000:])
    finished = await create(api, 200_000, key | {"Prefer": "return=representation"})
    reused = await create(api, 200_000, key, name="b.bin")

    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Upload-Offset"] == "100000"
    assert (other.status, other.slug) == (422, "key-reused")
    assert (finished.status, finished.json["size"]) == (201, 200_000)
    assert finished.headers["Idempotency-Replayed"] == "true"
    assert (reused.status, reused.slug) == (422, "key-reused")
    assert len(await recorded(api)) == 1


@pytest.mark.parametrize("size", [3, 60_000, 200_000])
async def test_repeated_creation_of_a_whole_upload_records_it(api: Api, size: int) -> None:
    key, folder = {"Idempotency-Key": "k"}, await api.created(None, content_type="folder", name="f")
    path = (await create(api, size, key, parent_id=folder["id"])).headers["Location"]
    await api.call("DELETE", f"/api/assets/{folder['id']}")
    assert (await append(api, path, 0, CONTENT[:size])).status == 422  # so it is whole, and stays
    await api.call("POST", f"/api/assets/{folder['id']}/restore")

    again = await create(api, size, key, parent_id=folder["id"])

    assert (again.status, again.headers["Location"]) == (201, path)
    assert await content_of(api, again) == CONTENT[:size]


async def test_key_of_an_upload_in_one_request_is_that_of_a_resumable_one(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    asset = (
        await api.call(
            "POST",
            "/api/assets/content?name=a.bin",
            headers={**key, "Content-Type": "application/octet-stream"},
            data=b"abc",
        )
    ).json

    finished = await create(api, 3, key | {"Prefer": "return=representation"})

    assert finished.status in (201, 422)
    assert finished.status == 422 or finished.json["id"] == asset["id"]
    assert len(await recorded(api)) == 1


async def test_repeated_creation_with_bytes_sends_them_once(api: Api) -> None:
    key = {"Idempotency-Key": "k"}

    answers = await asyncio.gather(*(create(api, 6, key, b"abc") for _ in range(4)))

    assert {answer.status for answer in answers} <= {201, 409, 423}
    location = next(a.headers["Location"] for a in answers if a.status == 201)
    assert (await head(api, location)).headers["Upload-Offset"] == "3"


async def test_upload_of_another_user_is_unknown(tmp_path: Path) -> None:
    async with serving_with_tokens(tmp_path) as api:
        ann, bob = caller(api, "ann"), caller(api, "bob")
        declared = {**TUS, "Upload-Length": "3", "Upload-Metadata": metadata(name="a")}
        path = (await ann.call("POST", "/api/uploads", headers=declared)).headers["Location"]

        for method in ("HEAD", "DELETE", "PATCH"):
            headers = {**BYTES, "Upload-Offset": "0"}
            assert (await bob.call(method, path, headers=headers)).status == 404
        anonymous = await api.call("HEAD", path, headers=TUS)

        assert (anonymous.status, anonymous.headers["Tus-Resumable"]) == (401, "1.0.0")
        assert (await ann.call("HEAD", path, headers=TUS)).status == 200


@pytest.mark.parametrize("present", [True, False])
async def test_upload_killed_after_its_bytes_were_published_is_recorded_if_they_are_there(
    tmp_path: Path, present: bool
) -> None:
    settings = Settings(data_dir=tmp_path)
    async with serving(settings) as api:
        folder = await api.created(None, name="f", content_type="folder")
        path = await created(api, 200_000, parent_id=folder["id"])
        await api.call("DELETE", f"/api/assets/{folder['id']}")
        assert (await append(api, path, 0, CONTENT)).status == 422  # so it is whole, and stays
        await api.call("POST", f"/api/assets/{folder['id']}/restore")
    name = hashlib.sha256(CONTENT).hexdigest()
    target = tmp_path / "content" / "objects" / name[:2] / name[2:4] / name
    target.parent.mkdir(parents=True)
    (bytes_file,) = (tmp_path / "content" / "uploads").glob("*.bytes")
    bytes_file.rename(target)
    if not present:  # collected, as no event named it
        target.unlink()

    async with serving(settings) as api:
        last = await until(lambda: head(api, path), 200 if present else 404)

        async with asyncio.timeout(60):
            while True:
                if unfinished(settings) == []:
                    break
                await asyncio.sleep(0.02)  # the sweep may remove it just now
        assert not present or await content_of(api, last) == CONTENT
        assert (await api.get("/readyz")).status == 200


@pytest.mark.parametrize("size", [3, 200_000])
async def test_upload_whose_declaration_came_back_after_a_power_cut_is_done(
    tmp_path: Path, size: int
) -> None:
    settings, key = Settings(data_dir=tmp_path), {"Idempotency-Key": "k"}
    async with serving(settings) as api:
        path = (await create(api, size, key)).headers["Location"]
        (declaration,) = (tmp_path / "content" / "uploads").glob("*.json")
        state = orjson.loads(declaration.read_bytes())
        await append(api, path, 0, CONTENT[:size])
        (asset,) = await recorded(api)
    digest = f"sha256:{hashlib.sha256(CONTENT[:size]).hexdigest()}"
    declaration.write_bytes(orjson.dumps({**state, "offset": size, "digest": digest}))

    async with serving(settings) as api:
        await until(lambda: head(api, path), 200)
        again = await create(api, size, key)

        assert again.headers["Ledger-Asset"] == asset["id"]
        assert await content_of(api, again) == CONTENT[:size]
        assert len(await recorded(api)) == 1
        async with asyncio.timeout(60):
            while unfinished(settings):  # noqa: ASYNC110 - the sweep removes it just now
                await asyncio.sleep(0.02)


async def test_bytes_of_an_upload_that_could_not_be_recorded_are_not_collected(
    tmp_path: Path,
) -> None:
    settings, collection = Settings(data_dir=tmp_path), {"apply": True, "retain_deleted": "0"}
    async with serving(settings) as api:
        folder = await api.created(None, name="f", content_type="folder")
        path = await created(api, 200_000, parent_id=folder["id"])
        await api.call("DELETE", f"/api/assets/{folder['id']}")
        assert (await append(api, path, 0, CONTENT)).status == 422  # so it is whole, and stays
    name = hashlib.sha256(CONTENT).hexdigest()
    target = tmp_path / "content" / "objects" / name[:2] / name[2:4] / name
    target.parent.mkdir(parents=True)
    (bytes_file,) = (tmp_path / "content" / "uploads").glob("*.bytes")
    bytes_file.rename(target)  # as if the server was killed before its event

    async with serving(settings) as api:
        collected = await api.call("POST", "/api/collection", json=collection)
        await api.call("POST", f"/api/assets/{folder['id']}/restore")
        last = await append(api, path, 200_000, b"")

        assert (collected.json["count"], last.status) == (0, 204), last.body
        assert await content_of(api, last) == CONTENT
        other = await api.created(CONTENT, name="other")
        for each in (other["id"], last.headers["Ledger-Asset"]):
            await api.call("DELETE", f"/api/assets/{each}")
        collected = await api.call("POST", "/api/collection", json=collection)
        assert collected.json["count"] == 1  # it is kept no longer


async def test_files_that_a_kill_left_beside_uploads_are_removed(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with serving(settings) as api:
        path = (await create(api, 5, data=b"ab")).headers["Location"]
    uploads = tmp_path / "content" / "uploads"
    for name in (f"{'0' * 32}.bytes", f"{'0' * 32}.draft", "notes.txt"):
        (uploads / name).write_bytes(b"x")
    (uploads / f"{'1' * 32}.json").write_bytes(b"broken")

    async with serving(settings) as api:
        assert (await head(api, path)).headers["Upload-Offset"] == "2"
        assert len(unfinished(settings)) == 3  # the broken one stays, for its administrator


async def test_lost_bytes_are_reported_and_not_replaced_by_zeros(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with serving(settings) as api:
        path = (await create(api, 5, data=b"ab")).headers["Location"]
    (bytes_file,) = (tmp_path / "content" / "uploads").glob("*.bytes")
    bytes_file.write_bytes(b"a")

    async with serving(settings) as api:
        answer = await append(api, path, 2, b"cde")
        assert (answer.status, answer.slug) == (503, "storage-failed")
        assert (await api.call("DELETE", path, headers=TUS)).status == 204
        assert await recorded(api) == []


async def test_upload_that_a_power_cut_brought_back_without_its_bytes_begins_again(
    tmp_path: Path,
) -> None:
    settings, key = Settings(data_dir=tmp_path), {"Idempotency-Key": "k"}
    async with serving(settings) as api:
        await create(api, 5, key, data=b"ab")
    (bytes_file,) = (tmp_path / "content" / "uploads").glob("*.bytes")
    bytes_file.unlink()

    async with serving(settings) as api:
        again = await create(api, 5, key)
        assert (again.status, again.headers["Upload-Offset"]) == (201, "0")
        assert (await append(api, again.headers["Location"], 0, b"abcde")).status == 204
        (asset,) = await recorded(api)
        assert (await api.get(asset["get_url"])).body == b"abcde"


async def test_last_request_repeated_while_the_asset_is_recorded_gets_that_asset(api: Api) -> None:
    folder = await api.created(None, name="f", content_type="folder")
    path = await created(api, 3, parent_id=folder["id"])
    await api.call("DELETE", f"/api/assets/{folder['id']}")
    assert (await append(api, path, 0, b"abc")).status == 422  # so it is whole, and stays
    await api.call("POST", f"/api/assets/{folder['id']}/restore")

    answers = await asyncio.gather(
        *(append(api, path, 3, None) for _ in range(5)), *(head(api, path) for _ in range(5))
    )

    assert {answer.status for answer in answers} <= {200, 204, 423}
    finished = {a.headers["Ledger-Asset"] for a in answers if a.status != 423}
    assert finished == {path.rpartition("/")[2]}
    assert len(await recorded(api)) == 2
