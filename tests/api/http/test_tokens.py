"""AUTH=tokens: a token authenticates its user until it expires or is revoked, within its scopes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asset_ledger.api.contract.principal import Principal
from asset_ledger.api.settings import Settings
from asset_ledger.api.tokens import tokens_in
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.storage.folder_lock import holder_of
from tests.api.calling import ALL, Caller, caller, serving_with_tokens
from tests.api.running import Api, serving


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving_with_tokens(opened_data_dir) as api:
        yield api


async def test_a_request_without_a_token_gets_the_bearer_challenge(api: Api) -> None:
    answer = await api.get("/api/assets")

    assert (answer.status, answer.slug) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="asset-ledger"'


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer alt_000000000000_" + "A" * 43,
        "Bearer als_" + "A" * 43,
        "Bearer tök",
        "Bearer \udcff",
        "Bearer " + "x" * 5000,
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
    ],
)
async def test_an_invalid_token_is_rejected(api: Api, header: str) -> None:
    answer = await api.raw(
        b"GET /api/assets HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "
        + header.encode("utf-8", "surrogateescape")
        + b"\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 401 "), answer
    assert b'error="invalid_token"' in answer


async def test_another_authorization_scheme_is_rejected(api: Api) -> None:
    answer = await api.get("/api/assets", Authorization="Basic YTpi")

    assert (answer.status, answer.slug) == (401, "unauthenticated")


async def test_a_token_authenticates_its_user(api: Api) -> None:
    alice, bob = caller(api, "alice"), caller(api, "bob")

    asset = await alice.created(job_id="j")

    assert asset["user_id"] == "alice"
    assert (await alice.get(f"/api/assets/{asset['id']}")).status == 200
    assert (await bob.get(f"/api/assets/{asset['id']}")).slug == "unknown-asset"
    (event,) = (await alice.get("/api/jobs/j/history")).json["events"]
    assert event["by"] == "alice"


async def test_the_bearer_scheme_is_case_insensitive(api: Api) -> None:
    token = caller(api).token

    assert (await api.get("/api/assets", Authorization=f"bearer {token}")).status == 200


async def test_a_missing_scope_is_named_in_the_refusal(api: Api) -> None:
    reader = caller(api, "alice", "read")

    answer = await reader.call("POST", "/api/assets", json={"name": "n"})

    assert (answer.status, answer.slug) == (403, "missing-scope")
    assert answer.json["scope"] == "write"
    assert 'error="insufficient_scope", scope="write"' in answer.headers["WWW-Authenticate"]


async def test_made_at_needs_the_admin_scope(api: Api) -> None:
    claimed = {"name": "n", "made_at": "2020-01-01T00:00:00Z"}
    writer, admin = caller(api, "alice"), caller(api, "alice", "write", "admin")

    refused = await writer.call("POST", "/api/assets", json=claimed)
    taken = await admin.call("POST", "/api/assets", json=claimed)

    assert (refused.status, refused.json["scope"]) == (403, "admin")
    assert taken.json["created_at"] == "2020-01-01T00:00:00.000000Z"


async def test_a_revoked_token_is_rejected_at_once(api: Api) -> None:
    admin, alice = caller(api, "root", "admin"), caller(api, "alice")
    tokens = (await admin.get("/api/tokens")).json["tokens"]
    (token_id,) = [token["id"] for token in tokens if token["user_id"] == "alice"]
    assert (await alice.get("/api/assets")).status == 200

    revoked = await admin.call("DELETE", f"/api/tokens/{token_id}")

    assert revoked.json["revoked_at"] is not None
    assert (await alice.get("/api/assets")).slug == "unauthenticated"
    repeated = await admin.call("DELETE", f"/api/tokens/{token_id}")
    assert repeated.json == revoked.json


async def made(admin: Caller, user_id: str, **fields: object) -> tuple[str, Caller]:
    """Create a token over HTTP. Return its id, and a caller with it."""
    answer = await admin.call("POST", "/api/tokens", json={"user_id": user_id, **fields})
    assert answer.status == 201, answer.body
    return answer.json["id"], Caller(admin.api, answer.json["token"])


async def test_a_revoked_token_stays_revoked_after_a_restart(data_dir: Path) -> None:
    async with serving_with_tokens(data_dir) as api:
        admin = caller(api, "root", "admin")
        (_, kept), (token_id, gone) = await made(admin, "alice"), await made(admin, "alice")
        await admin.call("DELETE", f"/api/tokens/{token_id}")

    async with serving_with_tokens(data_dir) as api:
        assert (await Caller(api, kept.token).get("/api/assets")).status == 200
        assert (await Caller(api, gone.token).get("/api/assets")).status == 401


async def test_creation_and_revocation_of_tokens_are_events(api: Api) -> None:
    admin = caller(api, "root", *ALL)
    token_id, _ = await made(admin, "alice", name="ci", scopes=["read"])
    other, _ = await made(admin, "bob")
    for _ in range(2):
        await admin.call("DELETE", f"/api/tokens/{token_id}")

    listed = await admin.get("/api/events?all=true&topic=token.created&topic=token.revoked")

    found = [(e["topic"], e["by"], e["data"]["token_id"]) for e in listed.json["events"]]
    assert found == [
        ("token.created", "root", token_id),
        ("token.created", "root", other),
        ("token.revoked", "root", token_id),
    ]
    first = listed.json["events"][0]["data"]
    assert (first["owner"], first["scopes"], first["name"]) == ("alice", ["read"], "ci")
    assert (await caller(api, "alice", "read").get("/api/events")).json["events"] == []


async def test_tokens_that_are_created_at_once_are_all_valid(api: Api) -> None:
    admin = caller(api, "root", "admin")

    callers = await asyncio.gather(*(made(admin, f"user{n}") for n in range(4)))

    assert [(await each.get("/api/assets")).status for _, each in callers] == [200] * 4
    assert len((await admin.get("/api/tokens")).json["tokens"]) == 5


def test_a_token_expires_exactly_at_its_expiry_time(tmp_path: Path) -> None:
    now, codec = [datetime(2026, 1, 1, tzinfo=UTC)], Codec()
    until = now[0] + timedelta(hours=1)
    with closing(SqliteLog(tmp_path / "ledger.db", codec)) as log:
        open_identity(log, codec, tmp_path / "checkpoint.key", new_log_id="0" * 32)
        tokens = tokens_in(log, codec, lambda: now[0])
        sent = {"user_id": "alice", "expires_at": iso(until)}
        text = asyncio.run(tokens.create("root", sent))["token"]

    now[0] = until - timedelta(microseconds=1)
    allowed = tokens.credential(text)
    assert allowed is not None
    assert allowed[:2] == (Principal("alice", frozenset({"read", "write"})), until)
    now[0] = until
    assert tokens.credential(text) is None


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "system"}, "user_id"),
        ({"user_id": "a\0b"}, "user_id"),
        ({"user_id": "a", "scopes": ["everything"]}, "scopes.0"),
        ({"user_id": "a", "scopes": []}, "scopes"),  # an empty list is not the default
        ({"user_id": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"user_id": "a", "expires_at": "tomorrow"}, "expires_at"),
        ({"user_id": "a", "colour": "red"}, "colour"),
    ],
)
async def test_an_invalid_token_request_is_refused(
    api: Api, sent: dict[str, object], field: str
) -> None:
    answer = await caller(api, "root", "admin").call("POST", "/api/tokens", json=sent)

    assert (answer.status, answer.slug) == (422, "bad-field")
    assert [entry["field"] for entry in answer.json["errors"]] == [field]


async def test_an_unknown_token_cannot_be_revoked(api: Api) -> None:
    answer = await caller(api, "root", "admin").call("DELETE", "/api/tokens/000000000000")

    assert (answer.status, answer.slug) == (404, "unknown-token")


@pytest.mark.in_a_folder("it reads ledger.db")
async def test_a_new_token_is_shown_once_and_stored_as_its_hash(api: Api, data_dir: Path) -> None:
    admin = caller(api, "root", "admin")
    made = await admin.call("POST", "/api/tokens", json={"user_id": "alice", "name": "ci"})
    text = made.json["token"]

    assert (await Caller(api, text).get("/api/assets")).status == 200
    assert text not in (await admin.get("/api/tokens")).body.decode()
    files = await asyncio.to_thread(lambda: [*data_dir.glob("ledger.db*")])
    assert files
    assert not any(text.encode() in file.read_bytes() for file in files)


async def test_tokens_are_never_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    admin = caller(api, "root", *ALL)
    made = await admin.call("POST", "/api/tokens", json={"user_id": "alice"})
    wrong = made.json["token"][:-1] + "\x7f"

    await Caller(api, made.json["token"]).created()
    await Caller(api, wrong.replace("\x7f", "!")).get("/api/assets")
    await Caller(api, made.json["token"]).get("/nowhere")

    texts = [str(admin.token), made.json["token"][:-1]]
    assert [text for text in texts if text in caplog.text] == []


async def test_the_secret_of_the_lock_file_admits_an_admin_once(api: Api, data_dir: Path) -> None:
    holder = holder_of(data_dir)
    assert holder is not None
    first = Caller(api, holder.secret)

    made = await first.call("POST", "/api/tokens", json={"user_id": "alice"})

    assert made.status == 201
    assert (await first.get("/api/tokens")).status == 401
    renewed = holder_of(data_dir)
    assert renewed is not None
    assert (await Caller(api, renewed.secret).get("/api/tokens")).status == 200


async def test_a_public_path_needs_no_token_and_accepts_any_host(api: Api) -> None:
    assert (await api.get("/health", Host="ledger.example")).body == b"OK"
    assert (await api.get("/health", Authorization="Bearer nonsense")).body == b"OK"


async def test_a_page_of_another_origin_can_write_with_a_token(api: Api) -> None:
    headers = {"Origin": "https://app.example", "Host": "ledger.example"}

    answer = await caller(api).call("POST", "/api/assets", json={"name": "n"}, headers=headers)

    assert answer.status == 201


async def test_a_request_above_the_rate_limit_is_refused_with_retry_after(data_dir: Path) -> None:
    async with serving_with_tokens(data_dir, rate_limit="3/h") as api:
        alice, bob = caller(api, "alice"), caller(api, "bob")
        answers = [await alice.get("/api/assets") for _ in range(4)]

        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert answers[3].slug == "rate-limited"
        assert answers[3].json["limit"] == "3 requests an hour"
        assert 0 < int(answers[3].headers["Retry-After"]) <= 1200
        assert (await bob.get("/api/assets")).status == 200
        assert (await alice.get("/health")).status == 200


async def test_a_local_ledger_applies_the_rate_limit(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir, rate_limit="1/h")) as api:
        assert (await api.get("/api/assets")).status == 200
        assert (await api.get("/api/assets")).slug == "rate-limited"
