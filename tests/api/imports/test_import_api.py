"""POST /api/import: assets from elsewhere, through a server."""

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
    """An asset, and its bytes on one line."""
    text = orjson.dumps({"id": asset_id(number), "name": f"{number}.txt", **fields}) + b"\n"
    return text if content is None else text + some_bytes(content)


def some_bytes(content: bytes) -> bytes:
    return b'{"bytes":"%b"}\n' % b64encode(content)


async def sent(api: Api, *lines: bytes) -> Answer:
    return await api.call("POST", "/api/import", data=b"".join(lines), headers=LINES)


async def outcomes(api: Api, *lines: bytes) -> dict[str, str]:
    answer = await sent(api, *lines)
    assert answer.status == 200, answer.body
    return {one["id"]: one["outcome"] for one in answer.json["outcomes"]}


async def test_an_imported_asset_has_its_own_id_time_and_bytes(api: Api) -> None:
    made_at = "2020-01-01T00:00:00.000000Z"
    answer = await sent(api, line(1, b"one", made_at=made_at, job_id="j"), some_bytes(b" two"))

    assert answer.json == {"outcomes": [{"id": ID, "outcome": "recorded", "reason": None}]}
    assert answer.headers["Ledger-Position"] == "2"
    asset = (await api.get(f"/api/assets/{ID}")).json
    assert (asset["created_at"], asset["job_id"], asset["size"]) == (made_at, "j", 7)
    assert (await api.get(f"/api/assets/{ID}/content")).body == b"one two"


async def test_what_is_sent_again_is_known_and_records_nothing(api: Api) -> None:
    await sent(api, line(1, b"x"))

    assert await outcomes(api, line(1, b"y"), line(1, b"z")) == {ID: "known"}
    assert api.head() == 2


async def test_a_batch_may_bring_a_folder_and_what_is_in_it(api: Api) -> None:
    folder = line(1, content_type="folder")
    inside = line(2, b"x", parent_id=ID, derived_from=[asset_id(3)])

    told = await outcomes(api, folder, line(3, b"source"), inside)

    assert set(told.values()) == {"recorded"}
    assert (await api.get(f"/api/assets?parent_id={ID}")).json["assets"][0]["id"] == asset_id(2)


async def test_one_that_is_refused_costs_no_other(api: Api) -> None:
    told = await outcomes(
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

    recorded = [number for number in range(1, 10) if told[asset_id(number)] == "recorded"]
    assert recorded == [1, 9]
    assert set(told.values()) == {"recorded", "refused"}


async def test_an_event_that_is_too_large_costs_no_other(api: Api) -> None:
    tags = ["t" * 1_000 + str(number) for number in range(70)]

    told = await outcomes(api, line(1, b"x"), line(2, b"x", tags=tags), line(3, b"x"))

    assert list(told.values()) == ["recorded", "refused", "recorded"]


async def test_a_dry_run_says_what_is_there(api: Api) -> None:
    await sent(api, line(1, b"x"), line(2))
    asked = [line(number, dry_run=True) for number in (1, 2, 3)]

    told = await outcomes(api, *asked)

    assert told == {ID: "known", asset_id(2): "empty", asset_id(3): "unknown"}
    assert api.head() == 3


async def test_bytes_that_come_later_are_filled_in(api: Api) -> None:
    await sent(api, line(1, content_type="text/plain"))

    assert await outcomes(api, line(1, b"late")) == {ID: "filled"}
    assert await outcomes(api, line(1, b"later")) == {ID: "known"}
    asset = (await api.get(f"/api/assets/{ID}")).json
    assert (asset["version"], asset["content_type"], asset["size"]) == (2, "text/plain", 4)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "line 1: it is not JSON"),
        (line(1) + b"[]\n", "line 2: it must be a JSON object"),
        (b'{"name": "x"}', "line 1: id: must be 32"),
        (b'{"id": 7}', "line 1: id: must be 32"),
        (line(1) + b'{"bytes": "*"}', "line 2: "),
        (line(1) + b'{"bytes": 1}', "line 2: bytes are sent as"),
        (b"".join(line(number) for number in range(300)), "at most 256 assets"),
        (b'{"id": "' + b"0" * (3 << 20), "a line is longer"),
    ],
)
async def test_a_body_that_is_no_batch_is_refused_as_a_whole(
    api: Api, body: bytes, said: str
) -> None:
    answer = await sent(api, body)

    assert answer.slug in ("malformed-body", "too-large")
    assert said in answer.json["detail"]
    assert api.head() == 1


async def test_another_type_is_not_read(api: Api) -> None:
    answer = await api.call("POST", "/api/import", json={"id": ID})

    assert answer.slug == "unsupported-type"


async def test_only_an_admin_imports_and_for_whom_he_likes(data_dir: Any) -> None:
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
