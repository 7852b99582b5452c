"""Users, and sessions in which an admin acts for one of them."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.settings import Settings
from tests.api.calling import ALL, Caller, caller, serving_with_tokens
from tests.api.http.test_operations import shaped
from tests.api.http.test_session import cookie_of
from tests.api.running import FORM, Answer, Api, form, serving

ODD = ["jörg", "日本", " spaces ", "100%", "a/b?c#d", "%41", "a' OR 1=1"]


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving_with_tokens(opened_data_dir) as api:
        yield api


@pytest.fixture
def admin(api: Api) -> Caller:
    return caller(api, "root", *ALL)


async def users(client: Caller, query: str = "") -> Any:
    position = (await client.get("/api/events?limit=1")).headers["Ledger-Position"]
    return shaped("list_users", await client.get(f"/api/users?min_position={position}{query}"))


async def test_users_have_their_assets_and_valid_tokens(api: Api, admin: Caller) -> None:
    alice = caller(api, "alice")
    caller(api, "carol")
    await alice.created(b"four")
    await alice.created(b"seven77")
    await admin.call("POST", "/api/assets", json={"name": "f"}, headers={"Asset-Ledger-User": "al"})

    found = (await users(admin))["users"]

    assert found == [
        {"user_id": "al", "assets": 1, "bytes": 0, "tokens": 0},
        {"user_id": "alice", "assets": 2, "bytes": 11, "tokens": 1},
        {"user_id": "carol", "assets": 0, "bytes": 0, "tokens": 1},
        {"user_id": "root", "assets": 0, "bytes": 0, "tokens": 1},
    ]
    starting = (await users(admin, "&prefix=al"))["users"]
    assert [user["user_id"] for user in starting] == ["al", "alice"]


async def test_pages_of_users_hold_each_once(api: Api, admin: Caller) -> None:
    for number, user_id in enumerate(ODD):
        client = caller(api, user_id)
        if number % 2:
            await client.created(b"x")
    names: list[str] = []
    query = "&page_size=3"
    while True:
        page = await users(admin, query)
        names += [user["user_id"] for user in page["users"]]
        if not page["next"]:
            break
        query = f"&page_size=3&cursor={page['next']}"

    assert names == sorted([*ODD, "root"])
    assert (await admin.get("/api/users?cursor=AAAA")).slug == "bad-cursor"


async def acting(api: Api, for_user: str, **headers: str) -> Answer:
    sent = {"for_user": for_user}
    return await api.call("POST", "/api/session", json=sent, headers=headers)


def bearer(client: Caller) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {client.token}"}


@pytest.mark.parametrize("user_id", ODD)
async def test_session_of_an_admin_acts_for_a_user(api: Api, admin: Caller, user_id: str) -> None:
    asset = await caller(api, user_id).created(b"theirs")
    cookie = cookie_of(await acting(api, user_id, **bearer(admin)))

    session = shaped("get_session", await api.get("/api/session", Cookie=cookie))
    content = await api.get(asset["get_url"], Cookie=cookie)
    sent = {**FORM, "Cookie": cookie}
    written = await api.call("POST", "/api/assets", data=form(b"x", {"name": "n"}), headers=sent)

    assert (session["user_id"], session["for_user"]) == ("root", user_id)
    assert content.body == b"theirs"
    assert written.json["user_id"] == user_id
    history = await api.get(f"/api/assets/{written.json['id']}/history", Cookie=cookie)
    assert history.json["events"][0]["by"] == "root"


async def test_one_request_takes_a_token_and_a_user(api: Api, admin: Caller) -> None:
    sent = {"token": admin.token, "for_user": "alice"}
    cookie = cookie_of(await api.call("POST", "/api/session", json=sent))

    assert (await api.get("/api/session", Cookie=cookie)).json["for_user"] == "alice"

    back = cookie_of(await acting(api, "root", Cookie=cookie))
    assert (await api.get("/api/session", Cookie=back)).json["for_user"] is None
    assert (await api.get("/api/session", Cookie=cookie)).slug == "unauthenticated"


async def test_only_an_admin_acts_for_another_user(api: Api, admin: Caller) -> None:
    bob = caller(api, "bob", "read", "write", "audit")

    refused = await acting(api, "alice", **bearer(bob))
    anonymous = await acting(api, "alice")
    own = await acting(api, "bob", **bearer(bob))

    assert (refused.status, refused.slug, refused.json["scope"]) == (403, "missing-scope", "admin")
    assert anonymous.slug == "unauthenticated"
    assert own.status == 204
    for wrong in ({}, {"for_user": ""}, {"for_user": "a" * 256}, {"for_user": "system"}):
        answer = await admin.call("POST", "/api/session", json=wrong)
        assert answer.slug == "bad-field", wrong


async def test_header_wins_over_the_user_of_the_session(api: Api, admin: Caller) -> None:
    cookie = cookie_of(await acting(api, "alice", **bearer(admin)))

    answer = await api.get("/api/session", Cookie=cookie, Asset_Ledger_User="bob")

    assert answer.json["for_user"] == "bob"


async def test_local_session_acts_for_a_user_also_after_a_restart(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        text = cookie_of(await acting(api, "alice")).partition("=")[2]

    async with serving(Settings(data_dir=data_dir)) as api:
        cookie = f"asset-ledger-{api.url.rpartition(':')[2]}={text}"
        sent = {**FORM, "Cookie": cookie}
        made = await api.call("POST", "/api/assets", data=form(b"x", {"name": "n"}), headers=sent)
        own = await api.created(b"y")

        assert (made.json["user_id"], own["user_id"]) == ("alice", "1")
        out = await api.call("DELETE", "/api/session", headers={"Cookie": cookie})
        assert out.status == 204
        assert (await api.get("/api/session", Cookie=cookie)).json["for_user"] is None


async def test_local_session_allows_nothing_once_tokens_are_asked_for(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        text = cookie_of(await acting(api, "alice")).partition("=")[2]

    async with serving_with_tokens(data_dir) as api:
        cookie = f"asset-ledger-{api.url.rpartition(':')[2]}={text}"
        assert (await api.get("/api/session", Cookie=cookie)).slug == "unauthenticated"
