"""Every operation of the table, asked by those who may not: nothing leaks, not even existence."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from yarl import URL

from asset_ledger.api.contract.operations import Operation
from asset_ledger.api.contract.principal import SCOPES
from asset_ledger.api.http.app import OPERATIONS
from asset_ledger.api.tokens import Tokens
from asset_ledger.ledger.ids import new_asset_id
from tests.api.calling import ALL, Caller, caller, serving_with_tokens
from tests.api.running import FORM, Answer, Api, form

SECRET: Final = "known-to-alice-alone"
UNKNOWN: Final = {"job": "job-of-nobody", "token": "0" * 12}

GUARDED = [entry for entry in OPERATIONS if entry.scope is not None]
ENDLESS = [entry for entry in GUARDED if entry.handler.__name__ == "stream_events"]
NAMING = [entry for entry in GUARDED if "{" in entry.paths[0] and entry.scope != "admin"]
READS_THEN_WRITES = sorted(NAMING, key=lambda entry: entry.writes)  # a write makes a job one's own
OWN = [entry for entry in GUARDED if entry.scope != "admin" and entry not in ENDLESS]

Names = Mapping[str, str]


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving_with_tokens(opened_data_dir) as api:
        yield api


@pytest.fixture
async def alices(api: Api) -> Names:
    """What is Alice's: an asset with a content, in a folder, made by a job."""
    alice = caller(api, "alice", *ALL)
    folder = await alice.created(None, name=SECRET, content_type="folder")
    asset = await alice.created(
        SECRET.encode(),
        name=SECRET,
        job_id="job-of-alices",
        node_id=SECRET,
        workflow_id=SECRET,
        parent_id=folder["id"],
        metadata={"is": SECRET},
        tags=[SECRET],
    )
    tokens = [token["id"] for token in (await alice.get("/api/tokens")).json["tokens"]]
    ids = {"id": asset["id"], "folder": folder["id"], "digest": asset["digest"]}
    return {**ids, "job": "job-of-alices", "token": tokens[0]}


def nobodys() -> Names:
    return {"id": new_asset_id(), "folder": new_asset_id(), **UNKNOWN}


def path(entry: Operation, names: Names) -> str:
    """The operation's path, with these names in it."""
    known = dict.fromkeys(("job_id", "a", "b"), names["job"])
    known |= {"id": names["id"], "token_id": names["token"], "folder_id": names["folder"]}
    known |= {"name": SECRET, "tile...": "0/000.p/1", "index...": "000.p/1"}
    return re.sub(r"\{([^}]+)\}", lambda match: known[match[1]], entry.paths[0])


def body(entry: Operation, names: Names) -> dict[str, Any]:
    """A body that the operation can do something with."""
    bodies: dict[str, dict[str, Any]] = {
        "create_asset": {"name": "n", "parent_id": names["folder"]},
        "update_asset": {"name": "n"},
        "patch_asset": {"name": "n"},
        "download_assets": {"asset_ids": [names["id"]]},
        "bulk_delete": {"filter": {"node_id": SECRET}, "dry_run": True},
        "finish_job": {"status": "completed"},
        "create_token": {"user_id": "bob"},
    }
    return bodies.get(entry.handler.__name__, {})


async def ask(who: Caller, entry: Operation, names: Names, **options: Any) -> Answer:
    if entry.writes:
        options["json"] = body(entry, names)
    return await who.call(entry.method, path(entry, names), **options)


def told(answer: Answer, names: Names) -> tuple[int, dict[str, str], str]:
    """An answer without what differs in any two: ids, and the moments and places of own events."""
    text = answer.body.decode("latin-1")
    kept = {k: v for k, v in answer.headers.items() if k.lower() not in ("date", "x-request-id")}
    said = [text, *kept.values()]
    for name, value in names.items():
        said = [part.replace(value, f"<{name}>") for part in said]
    said = [re.sub(r'"request_id":"\w+"', '"request_id":""', part) for part in said]
    if answer.status < 300:
        said = [re.sub(r"\d+", "0", re.sub(r"[0-9a-f]{32}", "<new>", part)) for part in said]
    return answer.status, dict(zip(kept, said[1:], strict=True)), said[0]


async def test_every_operation_answers_alike_without_a_valid_token(api: Api, alices: Names) -> None:
    late = caller(api, "alice", *ALL)
    assert late.token is not None
    api.backend.tokens.revoke(late.token.split("_")[1])
    before = api.head()

    for who in (Caller(api, None), late):
        for entry in GUARDED:
            answers = [told(await ask(who, entry, names), names) for names in (alices, nobodys())]

            assert answers[0] == answers[1], entry.paths
            status, headers, text = answers[0]
            assert (status, '"urn:asset-ledger:unauthenticated"' in text) == (401, True), entry
            assert headers["WWW-Authenticate"].startswith("Bearer ")
            assert SECRET not in text
    assert api.head() == before


async def test_every_operation_refuses_an_expired_token(data_dir: Path) -> None:
    text = of_long_ago(data_dir)
    async with serving_with_tokens(data_dir) as api:
        for entry in GUARDED:
            answer = await ask(Caller(api, text), entry, nobodys())
            assert (answer.status, answer.slug) == (401, "unauthenticated"), entry.paths


def of_long_ago(data_dir: Path) -> str:
    """The text of a token that was in force for a day, years ago."""
    data_dir.mkdir()
    tokens = Tokens(data_dir / "access.db", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    sent = {"user_id": "alice", "scopes": list(ALL), "expires_at": "2020-01-02T00:00:00Z"}
    text = tokens.create(sent)["token"]
    tokens.close()
    return str(text)


async def test_every_operation_names_the_missing_scope_before_any_lookup(
    api: Api, alices: Names
) -> None:
    before = api.head()
    for scope in SCOPES:
        without = caller(api, "alice", *(known for known in SCOPES if known != scope))
        for entry in (entry for entry in GUARDED if entry.scope == scope):
            for names in (alices, nobodys()):
                answer = await ask(without, entry, names)

                assert (answer.status, answer.slug) == (403, "missing-scope"), entry.paths
                assert answer.json["scope"] == scope
                assert SECRET not in answer.body.decode()
    assert api.head() == before


async def test_every_operation_refuses_the_user_header_without_the_admin_scope(
    api: Api, alices: Names
) -> None:
    bob = caller(api, "bob", "read", "write", "audit")
    before = api.head()

    for entry in GUARDED:
        for user_id, names in (("alice", alices), ("nobody", nobodys())):
            headers = {"Asset-Ledger-User": user_id}
            answer = await ask(bob, entry, names, headers=headers)

            assert (answer.status, answer.slug) == (403, "missing-scope"), entry.paths
            assert answer.json["scope"] == "admin"
            assert SECRET not in answer.body.decode()
    assert api.head() == before


async def test_data_of_another_user_is_answered_exactly_as_unknown_data(
    api: Api, alices: Names
) -> None:
    bob, alice = caller(api, "bob", "read", "write", "audit"), caller(api, "alice", *ALL)
    before = await everything_of(alice, alices)

    for entry in READS_THEN_WRITES:
        unknown = nobodys()
        theirs = told(await ask(bob, entry, alices), alices)
        nobody = told(await ask(bob, entry, unknown), unknown)

        assert theirs == nobody, entry.paths
    assert await everything_of(alice, alices) == before


async def everything_of(alice: Caller, names: Names) -> list[bytes]:
    asset, job = f"/api/assets/{names['id']}", f"/api/jobs/{names['job']}"
    paths = ("/api/assets", asset, f"{asset}/history", job, f"{job}/history")
    return [(await alice.get(path)).body for path in paths]


async def test_no_answer_to_another_user_holds_data_of_the_owner(api: Api, alices: Names) -> None:
    bob = caller(api, "bob", "read", "write", "audit")
    asked = {SECRET, alices["digest"].removeprefix("sha256:")}
    await bob.created(b"bytes of his own", name="own", job_id="own")

    for entry in OWN:
        answer = await ask(bob, entry, alices)
        held = answer.body + str(dict(answer.headers)).encode()
        mine = {SECRET} if "by-filename" in entry.paths[0] else set()  # what he asked for himself

        assert [text for text in asked - mine if text.encode() in held] == [], entry.paths
        if alices["id"].encode() in held:
            assert answer.status in (403, 404, 422), entry.paths


async def test_head_answers_alike_for_data_of_another_user_and_unknown_data(
    api: Api, alices: Names
) -> None:
    bob, nobody = caller(api, "bob", "read", "write", "audit"), Caller(api, None)
    for entry in (entry for entry in OWN if entry.method == "GET"):
        for who in (bob, nobody):
            unknown = nobodys()
            theirs = told(await who.call("HEAD", path(entry, alices)), alices)
            missing = told(await who.call("HEAD", path(entry, unknown)), unknown)

            assert theirs == missing, entry.paths
            assert theirs[2] == "", entry.paths
            assert (who is bob) or theirs[0] == 401


@pytest.mark.parametrize("entry", ENDLESS, ids=lambda entry: str(entry.paths[0]))
async def test_a_stream_omits_events_of_another_user(
    api: Api, alices: Names, entry: Operation
) -> None:
    bob = caller(api, "bob", "audit", "write")
    own = await bob.created(b"x", name="his own")
    headers = {"Authorization": f"Bearer {bob.token}"}
    heard = b""

    async with api.session.get(URL(f"{api.url}{entry.paths[0]}?after=0"), headers=headers) as said:
        while own["id"].encode() not in heard:
            heard += await said.content.readany()

    assert SECRET.encode() not in heard
    assert alices["id"].encode() not in heard


@pytest.mark.parametrize(
    "filters",
    [
        f"node_id={SECRET}",
        f"workflow_id={SECRET}",
        "job_id=job-of-alices",
        "parent_id={folder}",
        "parent_id=alice",
        "content_type=image",
    ],
)
async def test_filters_find_no_asset_of_another_user(api: Api, alices: Names, filters: str) -> None:
    bob = caller(api, "bob")

    listed = await bob.get(f"/api/assets?{filters.format(**alices)}")

    assert listed.json == {"assets": [], "next": ""}


@pytest.mark.parametrize("field", ["parent_id", "derived_from", "digest"])
async def test_a_new_asset_cannot_refer_to_data_of_another_user(
    api: Api, alices: Names, field: str
) -> None:
    bob = caller(api, "bob")
    unknown = {**nobodys(), "digest": "sha256:" + "0" * 64}

    def sent(names: Names) -> dict[str, Any]:
        values = {"parent_id": names["folder"], "derived_from": [names["id"]]}
        return {"name": "n", field: {**values, "digest": names["digest"]}[field]}

    theirs = told(await bob.call("POST", "/api/assets", json=sent(alices)), alices)
    nobody = told(await bob.call("POST", "/api/assets", json=sent(unknown)), unknown)

    assert theirs == nobody
    assert theirs[0] in (404, 422), theirs


async def test_an_upload_of_bytes_another_user_has_is_answered_like_new_bytes(
    api: Api, alices: Names
) -> None:
    """That a content is stored already shows neither in the answer nor in what is charged."""
    bob = caller(api, "bob")

    theirs = told(await upload(bob, SECRET.encode()), alices)
    new = told(await upload(bob, SECRET[::-1].encode()), alices)

    assert (theirs[0], theirs[1].keys()) == (new[0], new[1].keys())
    assert theirs[0] == 201


async def upload(who: Caller, content: bytes) -> Answer:
    sent = form(content, {"name": "n"})
    return await who.call("POST", "/api/assets", data=sent, headers=FORM)


async def test_jobs_of_two_users_with_the_same_name_never_mix(api: Api) -> None:
    alice, bob = caller(api, "alice", *ALL), caller(api, "bob", *ALL)
    hers = [await alice.created(b"a", name=f"a{n}", job_id="job_456") for n in range(3)]
    his = [await bob.created(b"b", name="b", job_id="job_456")]
    started = await bob.call("POST", "/api/jobs/job_456/start", json={"workflow_id": "w"})

    for who, assets, events in ((alice, hers, 3), (bob, his, 2)):
        job = (await who.get("/api/jobs/job_456")).json
        history = (await who.get("/api/jobs/job_456/history")).json["events"]
        listed = (await who.get("/api/assets?job_id=job_456")).json["assets"]
        proof = (await who.get("/api/jobs/job_456/proof")).json["events"]

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
