"""Limits of JSON bodies: bytes for each operation, values, and errors in one answer."""

from typing import Any

import orjson
import pytest

from asset_ledger.api.contract.fields import MAX_ERRORS
from asset_ledger.api.http.app import OPERATIONS
from tests.api.running import Answer, Api

TAKE_JSON = [e for e in OPERATIONS if any(kind.endswith(("/json", "+json")) for kind in e.takes)]


async def send(api: Api, method: str, path: str, body: bytes) -> Answer:
    headers = {"Content-Type": "application/json"}
    return await api.call(method, path, data=body, headers=headers)


@pytest.mark.parametrize("entry", TAKE_JSON, ids=lambda entry: entry.name)
async def test_body_above_the_limit_of_its_operation_is_refused(api: Api, entry: Any) -> None:
    asset = await api.created()
    path = entry.paths[0].format(id=asset["id"], job_id="j")

    answer = await send(api, entry.method, path, b'{"a":"%b"}' % (b"a" * entry.max_json))

    assert (answer.status, answer.slug) == (413, "too-large")
    assert f"{entry.max_json:,} bytes" in answer.json["detail"]


@pytest.mark.parametrize("entry", TAKE_JSON, ids=lambda entry: entry.name)
async def test_description_states_the_limit_of_a_body(api: Api, entry: Any) -> None:
    described = (await api.get("/openapi.json")).json["paths"]

    body = described[entry.paths[0]][entry.method.lower()]["requestBody"]
    assert body["x-max-json-bytes"] == entry.max_json
    assert f"{entry.max_json:,} bytes" in body["description"]


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/api/assets", {f"nam{n}": 1 for n in range(1_000)}),
        ("PUT", "/api/assets/{id}", {f"nam{n}": 1 for n in range(1_000)} | {"tags": [1] * 1_000}),
        ("POST", "/api/assets/bulk-delete", {"filter": {f"jo{n}": 1 for n in range(1_000)}}),
        ("POST", "/api/assets/bulk-delete", {"filter": {"job_id": [None] * 1_000}}),
        ("POST", "/api/assets/bulk-delete", {"filter": {"job_id": ["j"] * 201}, "dry_run": True}),
        ("POST", "/api/assets/bulk-update", {"ids": ["x"] * 10_001, "add_tags": ["t"]}),
        (
            "POST",
            "/api/assets/bulk-update",
            {"ids": ["x"], "add_tags": ["t"] * 101},
        ),
        ("POST", "/api/assets/bulk-update", {"ids": ["x"], "add_tags": [1] * 1_000}),
        ("POST", "/api/assets/bulk-restore", {"ids": ["x"] * 257}),
        ("POST", "/api/assets/download", {"asset_ids": [1] * 1_000}),
        ("POST", "/api/tokens", {"user_id": "u", "scopes": ["reed"] * 1_000}),
    ],
)
async def test_refusal_names_at_most_ten_fields(
    api: Api, method: str, path: str, sent: Any
) -> None:
    asset = await api.created()

    answer = await send(api, method, path.format(id=asset["id"]), orjson.dumps(sent))

    assert answer.slug == "bad-field"
    assert 1 <= len(answer.json["errors"]) <= MAX_ERRORS
    assert len(answer.body) < 2_000


async def test_download_names_at_most_ten_thousand_assets(api: Api) -> None:
    ids = [f"{n:032x}" for n in range(10_001)]

    refused = await send(api, "POST", "/api/assets/download", orjson.dumps({"asset_ids": ids}))
    unknown = await send(api, "POST", "/api/assets/download", orjson.dumps({"asset_ids": ids[1:]}))

    assert (refused.slug, unknown.slug) == ("bad-field", "unknown-asset")
    assert "at most 10000 items" in refused.json["detail"]


@pytest.mark.parametrize("text", ['a"b\\', "\\" * 700_000, '"' * 700_000, "{[" * 400_000, "x" * 4])
async def test_update_keeps_long_texts_of_any_characters(api: Api, text: str) -> None:
    asset = await api.created()
    path = f"/api/assets/{asset['id']}"

    answer = await send(api, "PUT", path, orjson.dumps({"duration": 1.5, "data": text}))

    assert answer.status == 200, answer.body
    assert (await api.get(f"{path}/content")).body == text.encode()


@pytest.mark.parametrize(
    "rest",
    [
        b'"duration":1,"duration":2',
        b'"metadata":{"a":%d}' % 2**70,
        b'"metadata":{"a":%b}' % (b"[" * 120 + b"]" * 120),
    ],
)
async def test_fields_beside_a_long_text_are_parsed_strictly(api: Api, rest: bytes) -> None:
    asset = await api.created()

    body = b'{"data":"%b",%b}' % (b"a:" * 300_000, rest)
    answer = await send(api, "PUT", f"/api/assets/{asset['id']}", body)

    assert answer.slug == "malformed-body"


@pytest.mark.parametrize(
    "rest",
    [
        b'"tags":[%b]' % b",".join([b"1"] * 32_770),
        b'"metadata":{%b}' % b",".join(b'"%x":1' % number for number in range(32_770)),
        b'"tags":["%b"]' % b'","'.join([b"a,"] * 70_000),
    ],
    ids=["numbers", "names", "texts"],
)
@pytest.mark.parametrize("data", [b"", b'"data":"%b",' % (b"a," * 300_000)], ids=["", "long"])
async def test_more_than_32768_values_are_refused(api: Api, rest: bytes, data: bytes) -> None:
    asset = await api.created()

    answer = await send(api, "PUT", f"/api/assets/{asset['id']}", b"{%b%b}" % (data, rest))

    assert (answer.status, answer.slug) == (413, "too-large")
    assert "32,768 values" in answer.json["detail"]


@pytest.mark.parametrize(
    ("metadata", "refused"),
    [
        (b'{"a":"x:y","b":{"c":1,"c":2}}', "repeats the key 'c'"),
        (b'{"a":"x:y","b":[{"c":"\\":"},{"c":1}]}', None),
        (b'{"a":1,"\\u0061":2}', "repeats the key 'a'"),
        (b'{"a":"%b"}' % (b"," * 32_000), None),
        (b'{"a":"%d"}' % 2**70, None),
        (b'{"a":["%d",%d]}' % (2**70, 2**70), "beyond 64 bits"),
    ],
)
async def test_metadata_is_stored_unchanged_or_refused(
    api: Api, metadata: bytes, refused: str | None
) -> None:
    answer = await send(api, "POST", "/api/assets", b'{"name":"n","metadata":%b}' % metadata)

    if refused:
        assert (answer.status, answer.slug) == (400, "malformed-body")
        assert refused in answer.json["detail"]
    else:
        assert answer.json["metadata"] == orjson.loads(metadata)
