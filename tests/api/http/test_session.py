"""Sessions of browsers: a cookie in exchange for a token, within its scopes and its life."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from asset_ledger.api.sessions import LONGEST, MOST, SessionFile, Sessions
from asset_ledger.api.settings import Settings
from asset_ledger.api.tokens import tokens_in
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.storage.folder_lock import holder_of
from tests.api.calling import ALL, Caller, caller, serving_with_tokens
from tests.api.http.test_jwt import keyed, signed
from tests.api.http.test_operations import shaped
from tests.api.running import FORM, Answer, Api, form, serving


@pytest.fixture
async def tokens_api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving_with_tokens(opened_data_dir) as api:
        yield api


async def sign_in(api: Api, token: str | None, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.call("POST", "/api/session", json={"token": token}, headers=sent)


def cookie_of(answer: Answer) -> str:
    """Return the Cookie header of a browser that got this answer."""
    (morsel,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    return f"{morsel.key}={morsel.value}"


def cookie_name(api: Api) -> str:
    """Return the name of the cookie: for the port, or for all servers of a database."""
    shared = api.backend.sessions.is_shared
    return f"asset-ledger-{api.backend.feed.log_id if shared else api.url.rpartition(':')[2]}"


async def signed_in(api: Api, user_id: str = "alice", *scopes: str) -> str:
    answer = await sign_in(api, caller(api, user_id, *scopes).token)
    assert (answer.status, answer.body) == (204, b"")
    return cookie_of(answer)


async def test_session_authenticates_the_user_of_its_token_within_its_scopes(
    tokens_api: Api,
) -> None:
    api, asset = tokens_api, await caller(tokens_api, "alice").created(b"x", job_id="j")
    sent = {"user_id": "alice", "scopes": ["read"], "name": "laptop"}
    made = await api.backend.tokens.create("root", sent)
    cookie = cookie_of(await sign_in(api, made["token"]))

    session = shaped("get_session", await api.get("/api/session", Cookie=cookie))
    content = await api.get(asset["get_url"], Cookie=f"theme=dark; {cookie}")
    refused = await api.call("DELETE", f"/api/assets/{asset['id']}", headers={"Cookie": cookie})

    assert (session["user_id"], session["name"], session["scopes"]) == ("alice", "laptop", ["read"])
    assert content.body == b"x"
    assert "public" not in content.headers["Cache-Control"]
    assert (refused.slug, refused.json["scope"]) == ("missing-scope", "write")
    listed = await api.get("/api/assets", Cookie=cookie)
    assert listed.headers["Cache-Control"] == "private"


async def test_cookie_cannot_be_read_by_scripts_or_sent_by_other_sites(tokens_api: Api) -> None:
    token = caller(tokens_api).token
    forwarded = await sign_in(tokens_api, token, X_Forwarded_Proto="https")
    page = {"Origin": "https://ledger.example", "Host": "ledger.example"}
    secure = await sign_in(tokens_api, token, **page)
    plain = (await sign_in(tokens_api, token)).headers["Set-Cookie"]

    name, _, attributes = plain.partition("=")
    assert name == cookie_name(tokens_api)
    assert set(attributes.split("; ")[1:]) == {"HttpOnly", "Path=/", "SameSite=Strict"}
    for answer in (forwarded, secure):
        assert "Secure" in answer.headers["Set-Cookie"].split("; ")


@pytest.mark.in_a_folder("it reads sessions.db")
async def test_session_and_its_token_are_stored_as_hashes_and_never_logged(
    tokens_api: Api, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = str(caller(tokens_api).token)
    text = cookie_of(await sign_in(tokens_api, token)).partition("=")[2]

    await tokens_api.get("/nowhere", Cookie=f"asset-ledger={text}")
    files = await asyncio.to_thread(lambda: [*data_dir.glob("sessions.db*")])

    assert files
    assert not any(text.encode() in file.read_bytes() for file in files)
    assert text not in caplog.text
    assert token not in caplog.text


async def test_session_ends_with_sign_out(tokens_api: Api) -> None:
    first, second = await signed_in(tokens_api), await signed_in(tokens_api)

    answer = await tokens_api.call("DELETE", "/api/session", headers={"Cookie": first})

    assert answer.status == 204
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert (await tokens_api.get("/api/assets", Cookie=first)).slug == "unauthenticated"
    assert (await tokens_api.get("/api/assets", Cookie=second)).status == 200
    assert (await tokens_api.call("DELETE", "/api/session")).status == 204


async def test_signing_in_again_ends_the_session_before(tokens_api: Api) -> None:
    before = await signed_in(tokens_api)

    after = cookie_of(await sign_in(tokens_api, caller(tokens_api).token, Cookie=before))

    assert (await tokens_api.get("/api/session", Cookie=before)).status == 401
    assert (await tokens_api.get("/api/session", Cookie=after)).status == 200


async def test_one_more_session_of_a_user_than_the_limit_ends_the_oldest(
    tokens_api: Api,
) -> None:
    token, other = caller(tokens_api).token, await signed_in(tokens_api, "bob")
    cookies = [cookie_of(await sign_in(tokens_api, token)) for _ in range(MOST + 2)]

    answers = [await tokens_api.get("/api/session", Cookie=cookie) for cookie in cookies]

    assert [answer.status for answer in answers].count(200) == MOST
    assert answers[-1].status == 200
    assert (await tokens_api.get("/api/session", Cookie=other)).status == 200
    if not tokens_api.backend.sessions.is_shared:  # a database ends those that expire first
        assert [answer.status for answer in answers[:3]] == [401, 401, 200]


async def test_session_ends_when_its_token_is_revoked_also_after_a_restart(data_dir: Path) -> None:
    async with serving_with_tokens(data_dir) as api:
        created = [
            await api.backend.tokens.create("root", {"user_id": user, "scopes": [*ALL]})
            for user in ("alice", "bob")
        ]
        kept, other = [Caller(api, each["token"]) for each in created]
        cookies = [cookie_of(await sign_in(api, each.token)) for each in (kept, other)]
        token_id = str(other.token).split("_")[1]
        await kept.call("DELETE", f"/api/tokens/{token_id}")
        assert (await api.get("/api/session", Cookie=cookies[1])).slug == "unauthenticated"

    async with serving_with_tokens(data_dir) as api:
        texts = [cookie.partition("=")[2] for cookie in cookies]  # a new port, another name
        name = cookie_name(api)
        statuses = [
            (await api.get("/api/session", Cookie=f"{name}={text}")).status for text in texts
        ]
    assert statuses == [200, 401]


async def test_session_does_not_survive_a_change_of_auth(data_dir: Path) -> None:
    async with serving_with_tokens(data_dir) as api:
        of_token = (await signed_in(api)).partition("=")[2]

    async with serving(keyed("HS256", data_dir=data_dir)) as api:
        name = cookie_name(api)
        assert (await api.get("/api/session", Cookie=f"{name}={of_token}")).status == 401


@pytest.mark.parametrize(
    ("expiry", "lasts"),
    [(None, LONGEST), (timedelta(hours=1), timedelta(hours=1)), (timedelta(days=9), LONGEST)],
)
def test_session_ends_at_the_expiry_of_its_token_or_after_twelve_hours(
    tmp_path: Path, expiry: timedelta | None, lasts: timedelta
) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    start, clock = now[0], lambda: now[0]
    expires_at = iso(start + expiry) if expiry else None
    codec, path = Codec(), tmp_path / "sessions.db"
    with closing(SqliteLog(tmp_path / "ledger.db", codec)) as log:
        open_identity(log, codec, tmp_path / "checkpoint.key", new_log_id="0" * 32)
        tokens = tokens_in(log, codec, clock)
        sent = {"user_id": "alice", "expires_at": expires_at}
        made = asyncio.run(tokens.create("root", sent))["token"]
    allowed = tokens.credential(made)
    assert allowed is not None
    sessions = Sessions(SessionFile(path), tokens, auth="tokens", clock=clock)
    text = sessions.start(allowed)

    now[0] = start + lasts - timedelta(microseconds=1)
    again = Sessions(SessionFile(path), tokens, auth="tokens", clock=clock)  # as after a restart
    for each in (sessions, again):
        found = each.credential(text)
        assert found is not None
        assert (found.principal.user_id, found.expires_at) == ("alice", start + lasts)
    now[0] = start + lasts
    assert [each.credential(text) for each in (sessions, again)] == [None, None]
    for each in (sessions, again):
        each.close()


async def test_session_of_a_jwt_ends_with_it(data_dir: Path) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    async with serving(keyed("HS256", data_dir=data_dir)) as api:
        cookie = cookie_of(await sign_in(api, signed("HS256", exp=soon)))
        session = (await api.get("/api/session", Cookie=cookie)).json

        assert (session["auth"], session["user_id"]) == ("jwt", "alice")
        assert session["expires_at"] == iso(soon)
        assert (await sign_in(api, signed("HS256")[:-4] + "AAAA")).slug == "unauthenticated"


async def test_bearer_token_wins_over_a_cookie(tokens_api: Api) -> None:
    cookie = await signed_in(tokens_api, "alice")
    bearer = f"Bearer {caller(tokens_api, 'bob').token}"

    both = await tokens_api.get("/api/session", Cookie=cookie, Authorization=bearer)
    bad = await tokens_api.get("/api/session", Cookie=cookie, Authorization="Bearer alt_x")
    other = await tokens_api.get("/api/session", Cookie=cookie, Authorization="Basic YTpi")

    assert both.json["user_id"] == "bob"
    assert (bad.status, other.status) == (401, 401)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://allowed.example"},  # allowed to call, but not with a cookie
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_page_of_another_origin_cannot_write_by_cookie(
    data_dir: Path, headers: dict[str, str]
) -> None:
    async with serving_with_tokens(data_dir, cors_origins="http://allowed.example") as api:
        cookie, token = await signed_in(api), caller(api).token
        before = api.head()
        sent = {**FORM, **headers, "Cookie": cookie}

        written = await api.call("POST", "/api/assets", data=form(b"x", {}), headers=sent)
        out = await api.call("DELETE", "/api/session", headers={**headers, "Cookie": cookie})
        entered = await api.call(
            "POST", "/api/session", json={"token": token}, headers={**headers, "Cookie": cookie}
        )

        assert [answer.slug for answer in (written, out, entered)] == ["forbidden"] * 3
        assert api.head() == before
        for answer in (written, out, entered):
            assert "Access-Control-Allow-Credentials" not in answer.headers
        assert (await api.get("/api/session", Cookie=cookie)).status == 200


async def test_page_of_the_server_can_write_by_cookie(tokens_api: Api) -> None:
    own = {"Origin": tokens_api.url, "Sec-Fetch-Site": "same-origin"}
    headers = {**FORM, **own, "Cookie": await signed_in(tokens_api)}

    answer = await tokens_api.call("POST", "/api/assets", data=form(b"x", {}), headers=headers)

    assert (answer.status, answer.json["user_id"]) == (201, "alice")


@pytest.mark.parametrize("value", ["", "x", "A" * 43, "ä" * 43, '"quoted"', "A" * 5000, "a=b"])
async def test_invalid_cookie_is_answered_like_an_ended_session(
    tokens_api: Api, value: str
) -> None:
    name = (await signed_in(tokens_api)).partition("=")[0]

    answer = await tokens_api.get("/api/assets", Cookie=f"{name}={value}")

    assert (answer.status, answer.slug) == (401, "unauthenticated")
    assert "the session has ended" in answer.json["detail"]
    assert (await tokens_api.get("/health", Cookie=f"{name}={value}")).status == 200


@pytest.mark.parametrize("token", ["", "x", "alt_000000000000_" + "A" * 43, "tök", "ey.ey.ey"])
async def test_invalid_token_starts_no_session(tokens_api: Api, token: str) -> None:
    answer = await sign_in(tokens_api, token)

    assert (answer.status, answer.slug) == (401, "unauthenticated")
    assert "Set-Cookie" not in answer.headers


async def test_secret_of_the_lock_file_starts_no_session(tokens_api: Api, data_dir: Path) -> None:
    holder = holder_of(data_dir)
    assert holder is not None

    assert (await sign_in(tokens_api, holder.secret)).slug == "unauthenticated"


async def test_malformed_sign_in_is_refused(tokens_api: Api) -> None:
    bodies = [({"token": 1}, 422), ({}, 422), ({"token": "x", "user": "y"}, 422)]
    for body, status in bodies:
        answer = await tokens_api.call("POST", "/api/session", json=body)
        assert (answer.status, answer.slug) == (status, "bad-field")
    form_sent = await tokens_api.call("POST", "/api/session", data={"token": "x"})
    assert form_sent.slug == "unsupported-type"  # a form of another site can be sent unasked


async def test_sign_ins_count_towards_the_rate_limit(data_dir: Path) -> None:
    async with serving_with_tokens(data_dir, rate_limit="2/h") as api:
        token = caller(api).token
        answers = [await sign_in(api, token) for _ in range(3)]

    assert [answer.status for answer in answers] == [204, 204, 429]


async def test_local_ledger_describes_its_user_without_a_session(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir, max_upload_bytes=7)) as api:
        session = shaped("get_session", await api.get("/api/session", Cookie="asset-ledger-1=x"))
        entered = await sign_in(api, "anything")
        checkpoint = (await api.get("/api/log/checkpoint")).body.decode()

    assert (session["auth"], session["user_id"], session["name"]) == ("local", "1", None)
    assert (session["scopes"], session["expires_at"]) == ([*ALL], None)
    assert session["limits"] == {"max_upload_bytes": 7}
    assert session["origin"] == checkpoint.splitlines()[0]
    assert "image" in session["previews"]
    assert (entered.status, "Set-Cookie" in entered.headers) == (204, False)


async def test_session_describes_a_bearer_token_of_any_scope(tokens_api: Api) -> None:
    sent = {"user_id": "carol", "scopes": ["audit"], "expires_at": "2999-01-01T00:00:00Z"}
    made = await tokens_api.backend.tokens.create("root", sent)

    bearer = await tokens_api.get("/api/session", Authorization=f"Bearer {made['token']}")
    session = shaped("get_session", bearer)

    assert (session["scopes"], session["expires_at"]) == (["audit"], "2999-01-01T00:00:00.000000Z")
    assert session["limits"] == {"max_upload_bytes": None}
    assert (await tokens_api.get("/api/session")).slug == "unauthenticated"


async def test_a_form_downloads_by_cookie_from_a_page_of_this_origin_only(tokens_api: Api) -> None:
    asset = await caller(tokens_api, "alice").created(b"x")
    foreign = await caller(tokens_api, "bob").created(b"secret")
    cookie = await signed_in(tokens_api)

    async def download(asset_id: str, origin: str) -> Answer:
        kind = "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, "Cookie": cookie, "Origin": origin}
        body = f"asset_ids={asset_id}".encode()
        return await tokens_api.call("POST", "/api/assets/download", data=body, headers=headers)

    assert (await download(asset["id"], tokens_api.url)).status == 200
    assert (await download(foreign["id"], tokens_api.url)).slug == "unknown-asset"
    assert (await download(asset["id"], "http://127.0.0.1:1")).slug == "forbidden"
    assert (await download(asset["id"], "null")).slug == "forbidden"
