"""What several servers of one database share beside events: webhooks, sessions, keys of S3."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.settings import Settings
from tests.api import running
from tests.api.calling import caller
from tests.api.hooks.receiving import Receiver, receiving
from tests.api.http.test_servers import END, Two, until
from tests.api.http.test_session import cookie_of, sign_in
from tests.api.running import Api, serving
from tests.postgres import Postgres

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def in_one_database(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the name of the database."""
    from asset_ledger.api.database.engine import DatabaseEngine  # noqa: PLC0415 - an optional extra

    with postgres.database() as url:
        monkeypatch.setattr(running, "engine_for", lambda folder: DatabaseEngine(url, folder))
        yield url.removeprefix("postgresql:///").partition("?")[0]


def settings(folder: Path, **others: Any) -> Settings:
    return Settings(data_dir=folder, hook_addresses="any", **others)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with (
        serving(settings(tmp_path / "first", auth="tokens")) as first,
        serving(settings(tmp_path / "second", auth="tokens")) as second,
    ):
        yield Two(first, second)


async def hook_of(api: Api, url: str) -> Any:
    answer = await api.call("POST", "/api/hooks", json={"url": url, "all": True})
    assert answer.status == 201, answer.body
    return answer.json


async def arrived(receiver: Receiver, positions: Sequence[int]) -> None:
    """Wait until these events have arrived, each for the first time in this order."""

    async def have() -> bool:
        return list(dict.fromkeys(receiver.positions)) == list(positions)

    await until(have)


async def lags(api: Api) -> list[int]:
    return [hook["lag"] for hook in (await api.get("/api/hooks")).json["hooks"]]


async def test_one_server_at_a_time_delivers_and_the_next_continues(tmp_path: Path) -> None:
    async with receiving() as receiver, AsyncExitStack() as stack:
        second = None
        async with serving(settings(tmp_path / "first")) as first:
            second = await stack.enter_async_context(serving(settings(tmp_path / "second")))
            hook = await hook_of(second, receiver.url)  # the first server delivers
            begin = hook["position"]
            for api in (first, second) * 4:
                await api.created()
            await arrived(receiver, range(begin + 1, begin + 9))
            for api in (first, second):
                await until(partial(_is_even, api))
        assert receiver.positions == [*range(begin + 1, begin + 9)]

        await second.created()
        await arrived(receiver, range(begin + 1, begin + 10))
        assert receiver.positions == [*range(begin + 1, begin + 10)]
        receiver.verify(hook["secret"])


async def _is_even(api: Api) -> bool:
    return await lags(api) == [0]


async def test_deliveries_continue_after_the_database_ended_all_connections(
    tmp_path: Path, postgres: Postgres, in_one_database: str
) -> None:
    async with (
        receiving() as receiver,
        serving(settings(tmp_path / "first")) as first,
        serving(settings(tmp_path / "second")) as second,
    ):
        begin = (await hook_of(first, receiver.url))["position"]
        await second.created()
        await arrived(receiver, [begin + 1])

        postgres.execute(END.format(in_one_database))
        await until(lambda: _was_recorded(second))
        await until(lambda: _was_recorded(first))

        await arrived(receiver, range(begin + 1, first.head() + 1))
        await until(lambda: _is_even(second))


async def _was_recorded(api: Api) -> bool:
    return (await api.upload(b"x")).status == 201


async def test_a_hook_is_removed_at_any_server_and_their_number_is_limited(two: Two) -> None:
    first, second = (caller(api, "root", "admin") for api in two)
    sent = {"url": "https://example.org", "topics": ["asset.restored"]}
    made = [await one.call("POST", "/api/hooks", json=sent) for one in (first, second) * 26]

    assert [answer.status for answer in made].count(201) == 50
    assert made[-1].slug == "too-many-hooks"
    assert len((await first.get("/api/hooks")).json["hooks"]) == 50
    assert (await second.call("DELETE", f"/api/hooks/{made[0].json['id']}")).status == 200
    assert len((await first.get("/api/hooks")).json["hooks"]) == 49
    again = await first.call("DELETE", f"/api/hooks/{made[0].json['id']}")
    assert again.slug == "unknown-hook"


async def test_a_session_works_at_every_server_until_it_ends_at_one(two: Two) -> None:
    token = await two.first.backend.tokens.create("root", {"user_id": "alice"})
    cookie = cookie_of(await sign_in(two.first, token["token"]))

    async def user(api: Api) -> str | None:
        answer = await api.get("/api/session", Cookie=cookie)
        return answer.json["user_id"] if answer.status == 200 else None

    async def both() -> bool:
        return [await user(api) for api in two] == ["alice", "alice"]

    async def neither() -> bool:
        return [await user(api) for api in two] == [None, None]

    await until(both)  # the second server learns of the token within a second
    assert (await two.second.call("DELETE", "/api/session", headers={"Cookie": cookie})).status
    await until(neither)
    forged = cookie[:-43] + "A" * 43
    assert (await two.first.get("/api/session", Cookie=forged)).slug == "unauthenticated"


async def test_a_session_ends_everywhere_with_its_token(two: Two) -> None:
    token = await two.first.backend.tokens.create("root", {"user_id": "alice"})
    cookie = cookie_of(await sign_in(two.first, token["token"]))

    async def statuses() -> list[int]:
        return [(await api.get("/api/session", Cookie=cookie)).status for api in two]

    await until(lambda: _equals(statuses, [200, 200]))
    await two.second.backend.tokens.revoke("root", token["id"])
    await until(lambda: _equals(statuses, [401, 401]))


async def _equals(found: Any, expected: Any) -> bool:
    return bool(await found() == expected)


async def test_a_key_of_an_s3_client_is_known_to_every_server(two: Two) -> None:
    keys, others = (api.backend.s3_keys for api in two)
    keys.keep("key", "secret")

    assert (others.secret("key"), others.find("absent")) == (None, None)
    assert (others.find("key"), others.secret("key")) == ("secret", "secret")
