"""Every operation, called without permission: no answer reveals data of another user, or its
existence."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from yarl import URL

from asset_ledger.api.contract.operations import Operation
from asset_ledger.api.contract.principal import SCOPES
from asset_ledger.api.http.app import OPERATIONS
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.ids import new_asset_id
from tests.api.calling import ALL, Caller, caller, revoke, serving_with_tokens
from tests.api.running import FORM, Answer, Api, form

SECRET: Final = "secret-of-alice"
TUS: Final = {"Tus-Resumable": "1.0.0"}
# As long as the job id of Alice: the lengths of two answers are compared.
UNKNOWN: Final = {"job": "job-not-here", "token": "0" * 12, "upload": "f" * 32}

GUARDED = [entry for entry in OPERATIONS if entry.scope is not None]
STREAMS = [entry for entry in GUARDED if entry.handler.__name__ == "stream_events"]
WITH_ID = [entry for entry in GUARDED if "{" in entry.paths[0] and entry.scope != "admin"]
# Reads go first, because a write to a job creates the job for the caller.
READS_THEN_WRITES = sorted(WITH_ID, key=lambda entry: entry.writes)
OWN = [entry for entry in GUARDED if entry.scope != "admin" and entry not in STREAMS]

Names = Mapping[str, str]


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving_with_tokens(opened_data_dir) as api:
        yield api


@pytest.fixture
async def of_alice(api: Api) -> Names:
    """Return names of Alice's data: an asset with a content, in a folder, made by a job."""
    alice = caller(api, "alice", *ALL)
    folder = await alice.created(None, name=SECRET, content_type="folder")
    asset = await alice.created(
        SECRET.encode(),
        name=SECRET,
        job_id="job-of-alice",
        node_id=SECRET,
        workflow_id=SECRET,
        parent_id=folder["id"],
        metadata={"is": SECRET},
        tags=[SECRET],
    )
    tokens = [token["id"] for token in (await alice.get("/api/tokens")).json["tokens"]]
    ids = {"id": asset["id"], "folder": folder["id"], "digest": asset["digest"]}
    sent = {**TUS, "Upload-Length": "5", "Upload-Metadata": "name YQ=="}
    upload = await alice.call("POST", "/api/uploads", headers=sent)
    upload_id = upload.headers["Location"].rpartition("/")[2]
    return {**ids, "job": "job-of-alice", "token": tokens[0], "upload": upload_id}


def unknown_names() -> Names:
    digest = f"sha256:{'0' * 64}"
    return {"id": new_asset_id(), "folder": new_asset_id(), "digest": digest, **UNKNOWN}


def path(entry: Operation, names: Names) -> str:
    """Return the path of the operation with these names in it."""
    values = dict.fromkeys(("job_id", "a", "b"), names["job"])
    values |= {"id": names["id"], "token_id": names["token"], "folder_id": names["folder"]}
    values |= {"name": SECRET, "tile...": "0/000.p/1", "index...": "000.p/1"}
    values |= {"key...": f"{names['id']}.png", "content": names["digest"]}
    values["hook_id"] = names["token"]
    values["upload_id"] = names["upload"]
    return re.sub(r"\{([^}]+)\}", lambda match: values[match[1]], entry.paths[0])


def body(entry: Operation, names: Names) -> dict[str, Any]:
    """Return a body that the operation accepts."""
    bodies: dict[str, dict[str, Any]] = {
        "create_asset": {"name": "n", "parent_id": names["folder"]},
        "update_asset": {"name": "n"},
        "patch_asset": {"name": "n"},
        "download_assets": {"asset_ids": [names["id"]]},
        "bulk_delete": {"filter": {"node_id": SECRET}, "dry_run": True},
        "prove_assets": {"asset_ids": [names["id"]]},
        "bulk_update": {"ids": [names["id"]], "add_tags": [SECRET]},
        "bulk_restore": {"ids": [names["id"]]},
        "finish_job": {"status": "completed"},
        "receive_lineage": {
            "eventTime": "2026-01-01T00:00:00Z",
            "run": {"runId": "01941f29-7c00-7000-8000-000000000001"},
            "job": {"namespace": "n", "name": "j"},
        },
        "create_hook": {"url": "https://example.com/"},
        "create_token": {"user_id": "bob"},
    }
    return bodies.get(entry.handler.__name__, {})


async def send(client: Caller, entry: Operation, names: Names, **options: Any) -> Answer:
    raw = entry.handler.__name__ == "create_asset_from_content"
    query = f"?name=n&parent_id={names['folder']}" if raw else ""
    if entry.writes:
        options["json"] = body(entry, names)
    if "/uploads" in entry.paths[0]:
        options["headers"] = {**TUS, **options.get("headers", {})}
    return await client.call(entry.method, path(entry, names) + query, **options)


def comparable(answer: Answer, names: Names) -> tuple[int, dict[str, str], str]:
    """Return the answer without ids, times and positions, which differ in any two answers."""
    text = answer.body.decode("latin-1")
    kept = {k: v for k, v in answer.headers.items() if k.lower() not in ("date", "x-request-id")}
    parts = [text, *kept.values()]
    for name, value in names.items():
        parts = [part.replace(value, f"<{name}>") for part in parts]
    parts = [re.sub(r'"request_id":"\w+"', '"request_id":""', part) for part in parts]
    if answer.status < 300:
        parts = [re.sub(r"\d+", "0", re.sub(r"[0-9a-f]{32}", "<new>", part)) for part in parts]
    return answer.status, dict(zip(kept, parts[1:], strict=True)), parts[0]


async def test_every_operation_answers_alike_without_a_valid_token(
    api: Api, of_alice: Names
) -> None:
    revoked = caller(api, "alice", *ALL)
    assert revoked.token is not None
    revoke(api, revoked.token)
    before = api.head()

    for client in (Caller(api, None), revoked):
        for entry in GUARDED:
            answers = [
                comparable(await send(client, entry, names), names)
                for names in (of_alice, unknown_names())
            ]

            assert answers[0] == answers[1], entry.paths
            status, headers, text = answers[0]
            assert (status, '"urn:asset-ledger:unauthenticated"' in text) == (401, True), entry
            assert headers["WWW-Authenticate"].startswith("Bearer ")
            assert SECRET not in text
    assert api.head() == before


async def test_every_operation_refuses_an_expired_token(data_dir: Path) -> None:
    text = await expired_token(data_dir)
    async with serving_with_tokens(data_dir) as api:
        for entry in GUARDED:
            answer = await send(Caller(api, text), entry, unknown_names())
            assert (answer.status, answer.slug) == (401, "unauthenticated"), entry.paths


async def expired_token(data_dir: Path) -> str:
    """Return the text of a token that has expired."""
    soon = datetime.now(UTC) + timedelta(seconds=1)
    sent = {"user_id": "alice", "scopes": list(ALL), "expires_at": iso(soon)}
    async with serving_with_tokens(data_dir) as api:
        made = await caller(api, "root", "admin").call("POST", "/api/tokens", json=sent)
        await asyncio.sleep((soon - datetime.now(UTC)).total_seconds())
    return str(made.json["token"])


async def test_every_operation_names_the_missing_scope_before_any_lookup(
    api: Api, of_alice: Names
) -> None:
    before = api.head()
    for scope in SCOPES:
        without = caller(api, "alice", *(other for other in SCOPES if other != scope))
        for entry in (entry for entry in GUARDED if entry.scope == scope):
            for names in (of_alice, unknown_names()):
                answer = await send(without, entry, names)

                assert (answer.status, answer.slug) == (403, "missing-scope"), entry.paths
                assert answer.json["scope"] == scope
                assert SECRET not in answer.body.decode()
    assert api.head() == before


async def test_every_operation_refuses_the_user_header_without_the_admin_scope(
    api: Api, of_alice: Names
) -> None:
    bob = caller(api, "bob", "read", "write", "audit")
    before = api.head()

    for entry in GUARDED:
        for user_id, names in (("alice", of_alice), ("unknown", unknown_names())):
            headers = {"Asset-Ledger-User": user_id}
            answer = await send(bob, entry, names, headers=headers)

            assert (answer.status, answer.slug) == (403, "missing-scope"), entry.paths
            assert answer.json["scope"] == "admin"
            assert SECRET not in answer.body.decode()
    assert api.head() == before


async def test_data_of_another_user_is_answered_exactly_as_unknown_data(
    api: Api, of_alice: Names
) -> None:
    bob, alice = caller(api, "bob", "read", "write", "audit"), caller(api, "alice", *ALL)
    before = await everything_of(alice, of_alice)

    for entry in READS_THEN_WRITES:
        unknown = unknown_names()
        theirs = comparable(await send(bob, entry, of_alice), of_alice)
        missing = comparable(await send(bob, entry, unknown), unknown)

        assert theirs == missing, entry.paths
    assert await everything_of(alice, of_alice) == before


async def everything_of(alice: Caller, names: Names) -> list[bytes]:
    asset, job = f"/api/assets/{names['id']}", f"/api/jobs/{names['job']}"
    paths = ("/api/assets", asset, f"{asset}/history", job, f"{job}/history")
    return [(await alice.get(path)).body for path in paths]


async def test_no_answer_to_another_user_holds_data_of_the_owner(api: Api, of_alice: Names) -> None:
    bob = caller(api, "bob", "read", "write", "audit")
    secrets = {SECRET, of_alice["digest"].removeprefix("sha256:")}
    await bob.created(b"bytes of bob", name="own", job_id="own")

    for entry in OWN:
        answer = await send(bob, entry, of_alice)
        held = answer.body + str(dict(answer.headers)).encode()
        sent = {SECRET} if "by-filename" in entry.paths[0] else set()  # the path of the request

        assert [text for text in secrets - sent if text.encode() in held] == [], entry.paths
        if of_alice["id"].encode() in held:
            assert answer.status in (403, 404, 422), entry.paths


async def test_head_answers_alike_for_data_of_another_user_and_unknown_data(
    api: Api, of_alice: Names
) -> None:
    bob, anonymous = caller(api, "bob", "read", "write", "audit"), Caller(api, None)
    for entry in (entry for entry in OWN if entry.method == "GET"):
        for client in (bob, anonymous):
            unknown = unknown_names()
            theirs = comparable(await client.call("HEAD", path(entry, of_alice)), of_alice)
            missing = comparable(await client.call("HEAD", path(entry, unknown)), unknown)

            assert theirs == missing, entry.paths
            assert theirs[2] == "", entry.paths
            assert (client is bob) or theirs[0] == 401


@pytest.mark.parametrize("entry", STREAMS, ids=lambda entry: str(entry.paths[0]))
async def test_a_stream_omits_events_of_another_user(
    api: Api, of_alice: Names, entry: Operation
) -> None:
    bob = caller(api, "bob", "read", "write")
    own = await bob.created(b"x", name="own")
    headers = {"Authorization": f"Bearer {bob.token}"}
    received = b""

    async with api.session.get(
        URL(f"{api.url}{entry.paths[0]}?after=0"), headers=headers
    ) as answer:
        while own["id"].encode() not in received:
            received += await answer.content.readany()

    assert SECRET.encode() not in received
    assert of_alice["id"].encode() not in received


@pytest.mark.parametrize(
    "filters",
    [
        f"node_id={SECRET}",
        f"workflow_id={SECRET}",
        "job_id=job-of-alice",
        "parent_id={folder}",
        "parent_id=alice",
        "content_type=image",
    ],
)
async def test_filters_find_no_asset_of_another_user(
    api: Api, of_alice: Names, filters: str
) -> None:
    bob = caller(api, "bob")

    listed = await bob.get(f"/api/assets?{filters.format(**of_alice)}")

    assert listed.json == {"assets": [], "next": ""}


@pytest.mark.parametrize("field", ["parent_id", "derived_from", "digest"])
async def test_a_new_asset_cannot_refer_to_data_of_another_user(
    api: Api, of_alice: Names, field: str
) -> None:
    bob = caller(api, "bob")
    unknown = unknown_names()

    def sent(names: Names) -> dict[str, Any]:
        values = {"parent_id": names["folder"], "derived_from": [names["id"]]}
        return {"name": "n", field: {**values, "digest": names["digest"]}[field]}

    theirs = comparable(await bob.call("POST", "/api/assets", json=sent(of_alice)), of_alice)
    missing = comparable(await bob.call("POST", "/api/assets", json=sent(unknown)), unknown)

    assert theirs == missing
    assert theirs[0] in (404, 422), theirs


async def test_an_upload_of_bytes_another_user_has_is_answered_like_new_bytes(
    api: Api, of_alice: Names
) -> None:
    """Neither the answer nor its headers show that the content is stored already."""
    bob = caller(api, "bob")

    theirs = comparable(await upload(bob, SECRET.encode()), of_alice)
    new = comparable(await upload(bob, SECRET[::-1].encode()), of_alice)

    assert (theirs[0], theirs[1].keys()) == (new[0], new[1].keys())
    assert theirs[0] == 201


async def upload(client: Caller, content: bytes) -> Answer:
    sent = form(content, {"name": "n"})
    return await client.call("POST", "/api/assets", data=sent, headers=FORM)


async def test_jobs_of_two_users_with_the_same_name_never_mix(api: Api) -> None:
    alice, bob = caller(api, "alice", *ALL), caller(api, "bob", *ALL)
    alices = [await alice.created(b"a", name=f"a{n}", job_id="job_456") for n in range(3)]
    bobs = [await bob.created(b"b", name="b", job_id="job_456")]
    started = await bob.call("POST", "/api/jobs/job_456/start", json={"workflow_id": "w"})

    for client, assets, events in ((alice, alices, 3), (bob, bobs, 2)):
        job = (await client.get("/api/jobs/job_456")).json
        history = (await client.get("/api/jobs/job_456/history")).json["events"]
        listed = (await client.get("/api/assets?job_id=job_456")).json["assets"]
        proof = (await client.get("/api/jobs/job_456/proof")).json["events"]

        assert [asset["id"] for asset in listed] == [asset["id"] for asset in assets]
        assert {event["by"] for event in history} == {assets[0]["user_id"]}
        assert [event["job_seq"] for event in history] == list(range(1, events + 1))
        assert (job["assets"], len(proof)) == (len(assets), events)
    assert started.json["status"] == "running"
    assert (await alice.get("/api/jobs/job_456")).json["status"] == "untracked"


async def test_idempotency_keys_of_two_users_are_independent(api: Api) -> None:
    headers = {"Idempotency-Key": "the same"}
    answers = [
        await caller(api, user).call("POST", "/api/assets", json={"name": user}, headers=headers)
        for user in ("alice", "bob")
    ]

    assert [answer.status for answer in answers] == [201, 201]
    assert [answer.json["name"] for answer in answers] == ["alice", "bob"]
    assert all("Idempotency-Replayed" not in answer.headers for answer in answers)
