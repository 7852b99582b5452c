"""An admin acts for another user: the data is that user's, and each event names the admin."""

import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from asset_ledger.api.settings import Settings
from tests.api.calling import ALL, Caller, caller, serving_with_tokens
from tests.api.running import Answer, Api, flags_of, serving
from tests.builders import asset_id
from tests.journeys.server import run

ODD = ["jörg", "日本", " spaces ", "100%", "a/b?c#d", "%41"]


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving_with_tokens(opened_data_dir) as api:
        yield api


@pytest.fixture
def alice(api: Api) -> Caller:
    return caller(api, "alice", *ALL[:3])


@pytest.fixture
def admin(api: Api) -> Caller:
    return caller(api, "root", *ALL)


async def acting(
    client: Caller, method: str, path: str, user_id: str = "alice", **more: Any
) -> Answer:
    headers = {"Asset-Ledger-User": quote(user_id, safe=""), **more.pop("headers", {})}
    return await client.call(method, path, headers=headers, **more)


async def made(
    client: Caller, user_id: str = "alice", key: str | None = None, **fields: Any
) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    sent = {"name": "made", **fields}
    return await acting(client, "POST", "/api/assets", user_id, json=sent, headers=headers)


async def test_events_of_an_acting_admin_belong_to_the_user_and_name_the_admin(
    api: Api, alice: Caller, admin: Caller
) -> None:
    asset = (await made(admin, job_id="j", parent_id="alice")).json
    path = f"/api/assets/{asset['id']}"
    await acting(admin, "PATCH", path, json={"name": "renamed"})
    await alice.call("PATCH", path, json={"name": "renamed again"})
    await acting(admin, "POST", "/api/jobs/j/finish", json={"status": "completed"})
    await acting(admin, "DELETE", path)

    events = (await alice.get("/api/events?after=0")).json["events"]
    deleted = await alice.get(path)
    proven = (await alice.get(f"{path}/proof")).json["events"]
    stored = [base64.b64decode(event["leaf"]) for event in proven]

    assert (asset["user_id"], asset["parent_id"]) == ("alice", "alice")
    assert [event["by"] for event in events] == ["root", "root", "alice", "root", "root"]
    assert len(stored) == 4
    assert all(b'"user_id":"alice"' in leaf for leaf in stored)
    assert (deleted.slug, deleted.json["deleted_by"]) == ("asset-deleted", "root")


async def test_an_acting_admin_reads_only_the_data_of_the_user(
    api: Api, alice: Caller, admin: Caller
) -> None:
    of_alice = await alice.created(b"alices", name="alices", job_id="j", node_id="n")
    of_admin = await admin.created(b"of the admin", name="admins", job_id="j", node_id="n")
    now = f"min_position={api.head()}"
    paths = [
        "/api/assets",
        f"/api/assets/{of_alice['id']}",
        f"/api/assets/{of_admin['id']}",
        "/api/assets/alice",
        f"/api/assets/{of_alice['id']}/content",
        f"/api/assets/{of_alice['id']}/history",
        f"/api/assets/{of_alice['id']}/lineage",
        f"/api/assets/search?query=alices&{now}",
        f"/api/assets/usage?{now}",
        "/api/assets?as_of=3",
        "/api/jobs",
        "/api/jobs/j/history",
        "/api/jobs/j/proof",
        "/api/events?after=0",
    ]

    for path in paths:
        expected, read = await alice.get(path), await acting(admin, "GET", path)
        assert (read.status, comparable(read)) == (expected.status, comparable(expected)), path
        assert of_admin["digest"] not in read.body.decode(), path
    assert [each["name"] for each in (await admin.get("/api/assets")).json["assets"]] == ["admins"]


def comparable(answer: Answer) -> Any:
    """Return the body without the request id."""
    if "json" not in answer.headers["Content-Type"]:
        return answer.body
    return {name: value for name, value in answer.json.items() if name != "request_id"}


async def test_the_user_header_needs_no_scope_when_it_names_the_caller(
    api: Api, alice: Caller
) -> None:
    first = await made(alice, key="k")
    repeated = await alice.call(
        "POST", "/api/assets", json={"name": "made"}, headers={"Idempotency-Key": "k"}
    )

    assert (first.status, first.json["user_id"]) == (201, "alice")
    assert repeated.headers["Idempotency-Replayed"] == "true"


async def test_an_acting_admin_is_limited_to_the_scopes_of_the_token(api: Api) -> None:
    reader = caller(api, "root", "read", "admin")

    assert (await acting(reader, "GET", "/api/assets")).status == 200
    refused = await made(reader)
    assert (refused.slug, refused.json["scope"]) == ("missing-scope", "write")


async def test_an_idempotency_key_belongs_to_the_owner_and_not_to_the_sender(
    api: Api, alice: Caller, admin: Caller
) -> None:
    of_alice = await made(alice, key="k")
    repeated = await made(admin, key="k")
    other = await made(admin, key="k", name="another")
    bobs, of_admin = await made(admin, "bob", key="k"), await made(admin, "root", key="k")

    assert repeated.json == of_alice.json
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert other.slug == "key-reused"
    assert [bobs.json["user_id"], of_admin.json["user_id"]] == ["bob", "root"]


async def test_verify_finds_no_problem_after_an_admin_acted(
    api: Api, alice: Caller, admin: Caller, data_dir: Path
) -> None:
    await made(alice, key="k")
    await made(admin, key="another", job_id="j")
    await made(admin, "bob", key="k")

    done = run("verify", *flags_of(data_dir))

    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("user_id", ODD)
async def test_the_user_header_accepts_any_percent_encoded_user_id(
    api: Api, admin: Caller, user_id: str
) -> None:
    asset = (await made(admin, user_id)).json

    listed = await caller(api, user_id).get("/api/assets")

    assert asset["user_id"] == user_id
    assert listed.json["assets"] == [asset]


@pytest.mark.parametrize("value", ["", "system", "%0A", "a%00", "%FF", "x" * 256, "%C2%85"])
async def test_the_user_header_refuses_an_invalid_user_id(
    api: Api, alice: Caller, admin: Caller, value: str
) -> None:
    for client in (admin, alice):
        refused = await client.call("GET", "/api/assets", headers={"Asset-Ledger-User": value})

        assert (refused.status, refused.slug) == (400, "bad-parameter")
        assert [error["parameter"] for error in refused.json["errors"]] == ["Asset-Ledger-User"]


async def test_ledger_wide_events_name_the_admin_and_not_the_user(
    api: Api, alice: Caller, admin: Caller
) -> None:
    line = orjson.dumps({"id": asset_id(1), "name": "imported"}) + b"\n"
    ndjson = {"Content-Type": "application/x-ndjson"}
    await acting(admin, "POST", "/api/import", data=line, headers=ndjson)
    await acting(admin, "POST", "/api/log/key/rotate")

    events = (await admin.get("/api/events?after=1&all=true")).json["events"]

    assert [(event["topic"], event["by"]) for event in events] == [
        ("asset.created", "root"),
        ("key.rotated", "root"),
    ]
    assert (await alice.get(f"/api/assets/{asset_id(1)}")).status == 200


async def test_a_token_created_by_an_acting_admin_belongs_to_the_user_in_the_body(
    api: Api, admin: Caller
) -> None:
    body = {"user_id": "bob", "scopes": ["read"]}

    token = (await acting(admin, "POST", "/api/tokens", json=body)).json

    assert (token["user_id"], token["scopes"]) == ("bob", ["read"])
    refused = await acting(Caller(api, token["token"]), "GET", "/api/assets")
    assert (refused.slug, refused.json["scope"]) == ("missing-scope", "admin")


async def test_the_rate_limit_counts_requests_of_the_admin_and_not_of_the_user(
    data_dir: Path,
) -> None:
    async with serving_with_tokens(data_dir, rate_limit="2/h") as api:
        admin, alice = caller(api, "root", *ALL), caller(api, "alice")
        answers = [(await acting(admin, "GET", "/api/assets", name)).status for name in "abc"]

        assert answers == [200, 200, 429]
        assert (await acting(admin, "GET", "/api/assets")).status == 429
        assert (await alice.get("/api/assets")).status == 200


async def test_the_local_user_acts_for_any_user_without_tokens(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as local:
        client = Caller(local, None)
        asset = (await made(client)).json
        history = (await acting(client, "GET", f"/api/assets/{asset['id']}/history")).json

        assert (asset["user_id"], history["events"][0]["by"]) == ("alice", "1")
        assert (await local.get("/api/assets")).json["assets"] == []


async def test_the_request_log_names_the_admin_and_not_the_user(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving_with_tokens(data_dir, log_requests=True) as api:
        await made(caller(api, "root", *ALL))

    (fields,) = (r.__dict__["fields"] for r in caplog.records if r.message == "request")
    assert fields["user"] == "root"
