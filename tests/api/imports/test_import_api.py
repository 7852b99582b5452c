"""POST /api/import: a batch of assets with their own ids and times."""

from base64 import b64encode
from typing import Any

import orjson
import pytest

from tests.api.calling import caller, serving_with_tokens
from tests.api.running import Answer, Api
from tests.builders import asset_id

LINES = {"Content-Type": "application/x-ndjson"}
ID = asset_id(1)


def line(number: int = 1, content: bytes | None = None, **fields: Any) -> bytes:
    """The line of an asset, and a line with its bytes."""
    text = orjson.dumps({"id": asset_id(number), "name": f"{number}.txt", **fields}) + b"\n"
    return text if content is None else text + some_bytes(content)


def some_bytes(content: bytes) -> bytes:
    return b'{"bytes":"%b"}\n' % b64encode(content)


async def sent(api: Api, *lines: bytes) -> Answer:
    return await api.call("POST", "/api/import", data=b"".join(lines), headers=LINES)


async def outcomes(api: Api, *lines: bytes) -> dict[str, str]:
    answer = await sent(api, *lines)
    assert answer.status == 200, answer.body
    return {each["id"]: each["outcome"] for each in answer.json["outcomes"]}


async def test_an_imported_asset_keeps_its_id_time_and_bytes(api: Api) -> None:
    made_at = "2020-01-01T00:00:00.000000Z"
    answer = await sent(api, line(1, b"one", made_at=made_at, job_id="j"), some_bytes(b" two"))

    assert answer.json == {"outcomes": [{"id": ID, "outcome": "recorded", "reason": None}]}
    assert answer.headers["Ledger-Position"] == "2"
    asset = (await api.get(f"/api/assets/{ID}")).json
    assert (asset["created_at"], asset["job_id"], asset["size"]) == (made_at, "j", 7)
    assert (await api.get(f"/api/assets/{ID}/content")).body == b"one two"


async def test_a_repeated_asset_is_known_and_records_nothing(api: Api) -> None:
    await sent(api, line(1, b"x"))

    assert await outcomes(api, line(1, b"y"), line(1, b"z")) == {ID: "known"}
    assert api.head() == 2


async def test_a_batch_imports_a_folder_and_its_assets(api: Api) -> None:
    folder = line(1, content_type="folder")
    inside = line(2, b"x", parent_id=ID, derived_from=[asset_id(3)])

    results = await outcomes(api, folder, line(3, b"source"), inside)

    assert set(results.values()) == {"recorded"}
    assert (await api.get(f"/api/assets?parent_id={ID}")).json["assets"][0]["id"] == asset_id(2)


async def test_a_refused_asset_does_not_affect_the_others(api: Api) -> None:
    results = await outcomes(
        api,
        line(1, b"x"),
        line(2, b"x", parent_id=asset_id(99)),
        line(3, b"x", colour="red"),
        line(4, b"x", size=7),
        line(5, b"x", made_at="yesterday"),
        line(6, b"x", user_id="system"),
        line(7, b"x", content_type="folder"),
        line(8, b"x", derived_from=[asset_id(98)]),
        line(9, b"x"),
    )

    recorded = [number for number in range(1, 10) if results[asset_id(number)] == "recorded"]
    assert recorded == [1, 9]
    assert set(results.values()) == {"recorded", "refused"}


async def test_a_too_large_event_does_not_affect_the_others(api: Api) -> None:
    tags = ["t" * 1_000 + str(number) for number in range(70)]

    results = await outcomes(api, line(1, b"x"), line(2, b"x", tags=tags), line(3, b"x"))

    assert list(results.values()) == ["recorded", "refused", "recorded"]


async def test_a_dry_run_reports_known_empty_and_unknown_assets(api: Api) -> None:
    await sent(api, line(1, b"x"), line(2))
    lines = [line(number, dry_run=True) for number in (1, 2, 3)]

    results = await outcomes(api, *lines)

    assert results == {ID: "known", asset_id(2): "empty", asset_id(3): "unknown"}
    assert api.head() == 3


async def test_an_asset_without_bytes_is_filled_by_a_later_import(api: Api) -> None:
    await sent(api, line(1, content_type="text/plain"))

    assert await outcomes(api, line(1, b"late")) == {ID: "filled"}
    assert await outcomes(api, line(1, b"later")) == {ID: "known"}
    asset = (await api.get(f"/api/assets/{ID}")).json
    assert (asset["version"], asset["content_type"], asset["size"]) == (2, "text/plain", 4)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{", "line 1: it is not JSON"),
        (line(1) + b"[]\n", "line 2: it must be a JSON object"),
        (b'{"name": "x"}', "line 1: id: must be 32"),
        (b'{"id": 7}', "line 1: id: must be 32"),
        (line(1) + b'{"bytes": "*"}', "line 2: "),
        (line(1) + '{"bytes": "é"}'.encode(), "line 2: "),
        (line(1) + b'{"bytes": 1}', "line 2: bytes are sent as"),
        (b"".join(line(number) for number in range(300)), "at most 256 assets"),
        (b'{"id": "' + b"0" * (3 << 20), "a line is longer"),
    ],
)
async def test_an_invalid_body_is_refused_as_a_whole(api: Api, body: bytes, detail: str) -> None:
    answer = await sent(api, body)

    assert answer.slug in ("malformed-body", "too-large")
    assert detail in answer.json["detail"]
    assert api.head() == 1


async def test_another_content_type_is_refused(api: Api) -> None:
    answer = await api.call("POST", "/api/import", json={"id": ID})

    assert answer.slug == "unsupported-type"


async def test_only_an_admin_imports_and_for_any_user(data_dir: Any) -> None:
    async with serving_with_tokens(data_dir) as api:
        writer, admin = caller(api, "alice", "write"), caller(api, "root", "admin")
        options = {"data": line(1, b"x", user_id="alice"), "headers": LINES}

        assert (await writer.call("POST", "/api/import", **options)).slug == "missing-scope"
        assert (await admin.call("POST", "/api/import", **options)).status == 200

        alice = caller(api, "alice", "read", "audit")
        assert (await alice.get(f"/api/assets/{ID}")).json["user_id"] == "alice"
        (event,) = (await alice.get(f"/api/assets/{ID}/history")).json["events"]
        assert event["by"] == "root"
        other = {"data": line(1, b"x", user_id="bob"), "headers": LINES}
        refused = (await admin.call("POST", "/api/import", **other)).json["outcomes"]
        assert refused[0]["reason"] == "id: is that of another user's asset"
