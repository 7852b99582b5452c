"""Kept answers are never stale, whatever any user edits in between."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from tests.api.running import Answer, Api

USERS: Final = ("1", "alice", "bob")


def acting(user: str) -> dict[str, str]:
    return {} if user == "1" else {"Asset-Ledger-User": user}


class Ledgers:
    """Random edits of the assets of several users, and a comparison of what each then reads."""

    def __init__(self, api: Api, seed: int) -> None:
        self.api, self.random = api, random.Random(seed)
        self.assets: dict[str, list[str]] = {user: [] for user in USERS}
        self.zeros = 0

    async def call(self, user: str, method: str, path: str, **options: Any) -> Answer:
        return await self.api.call(method, path, headers=acting(user), **options)

    async def create(self, user: str) -> None:
        sent = {"name": str(self.random.random()), "job_id": "j", "node_id": "n"}
        made = await self.call(user, "POST", "/api/assets", json=sent)
        assert made.status == 201, made.body
        self.assets[user].append(made.json["id"])

    async def rename(self, user: str) -> None:
        path = self.path(user)
        await self.call(user, "PATCH", path, json={"name": str(self.random.random())})

    async def delete(self, user: str) -> None:
        await self.call(user, "DELETE", self.path(user))

    async def restore(self, user: str) -> None:
        await self.call(user, "POST", f"{self.path(user)}/restore")

    async def replace(self, user: str) -> None:
        content = self.random.randbytes(9)
        await self.api.call("PUT", f"{self.path(user)}/content", data=content, headers=acting(user))

    async def switch(self, user: str) -> None:
        started = await self.call(user, "POST", "/api/projections/rebuild", json={})
        assert started.status == 202, started.body
        await self.api.backend.rebuilds.wait()

    def path(self, user: str) -> str:
        """Return the path of one of the user's assets, or of one that is not there."""
        return f"/api/assets/{self.random.choice(self.assets[user] or ['0' * 32])}"

    def targets(self, user: str) -> list[str]:
        queries = ("job_id=j", "node_id=n&page_size=2", "sort=-created_at", "deleted=any")
        paths = [f"/api/assets?{query}" for query in queries]
        some = self.assets[user][-3:]
        return [*paths, "/api/jobs/j/assets", *(f"/api/assets/{asset}" for asset in some)]

    async def check(self, user: str) -> None:
        """Compare each answer with one that is not kept: its address was never asked for."""
        for target in self.targets(user):
            usual = await self.call(user, "GET", target)
            self.zeros += 1
            other = f"{target}{'&' if '?' in target else '?'}min_position={'0' * self.zeros}"
            fresh = await self.call(user, "GET", other)
            assert (usual.status, usual.headers.get("ETag")) == (
                fresh.status,
                fresh.headers.get("ETag"),
            )
            if usual.status == 200:
                assert usual.json == fresh.json
                assert usual.headers["Ledger-Position"] == fresh.headers["Ledger-Position"]


@pytest.mark.parametrize("seed", range(2))
async def test_a_kept_answer_equals_a_fresh_one_after_any_edits(api: Api, seed: int) -> None:
    ledgers = Ledgers(api, seed)
    edits: list[Callable[[str], Awaitable[None]]] = [
        *([ledgers.create] * 3),
        *(ledgers.rename, ledgers.delete, ledgers.restore, ledgers.replace),
    ]
    for _ in range(15):
        await ledgers.random.choice(edits)(ledgers.random.choice(USERS))
        for user in ledgers.random.sample(USERS, 2):
            await ledgers.check(user)

    assert await used(api) > 40


async def test_no_kept_answer_survives_a_switch_of_the_tables(api: Api) -> None:
    ledgers = Ledgers(api, 1)
    await ledgers.create("alice")
    for _ in range(3):
        await ledgers.check("alice")
    before = await used(api)

    await ledgers.switch("1")
    await ledgers.check("alice")

    assert before > 0
    assert await used(api) == before


async def test_edits_of_others_keep_the_answers_of_a_user(api: Api) -> None:
    ledgers = Ledgers(api, 1)
    await ledgers.create("alice")
    await ledgers.call("alice", "GET", "/api/assets?job_id=j")
    first = await ledgers.call("alice", "GET", "/api/assets?job_id=j")  # asked again: it is kept
    assert await used(api) == 0
    await ledgers.create("bob")

    again = await ledgers.call("alice", "GET", "/api/assets?job_id=j")

    assert again.json == first.json
    assert int(again.headers["Ledger-Position"]) == api.head()
    assert await used(api) == 1


async def test_a_reader_beside_a_writer_never_reads_backwards(api: Api) -> None:
    """Reads and writes at once: a write that was answered is in every later answer."""
    made: list[str] = []

    async def write() -> None:
        for n in range(40):
            asset = await api.created(None, name=str(n), job_id="j")
            made.append(asset["id"])

    async def read() -> None:
        last = 0
        while not writing.done():
            known, answer = len(made), await api.get("/api/assets?job_id=j&page_size=1000")
            assert len(answer.json["assets"]) >= known
            assert int(answer.headers["Ledger-Position"]) >= last
            last = int(answer.headers["Ledger-Position"])

    writing = asyncio.create_task(write())
    await asyncio.gather(read(), read(), writing)


async def test_an_asset_that_the_client_has_is_not_sent_again(api: Api) -> None:
    asset = await api.created(b"content")
    path = f"/api/assets/{asset['id']}"
    await api.get(path)
    etag = (await api.get(path)).headers["ETag"]

    known = await api.call("GET", path, headers={"If-None-Match": etag})
    other = await api.call("GET", path, headers={"If-None-Match": '"v7"'})

    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", etag)
    assert (other.status, other.json) == (200, asset)
    assert await used(api) == 2


async def test_lines_are_never_the_kept_page(api: Api) -> None:
    asset = await api.created(b"content", job_id="j")
    for _ in range(2):
        await api.get("/api/assets?job_id=j")

    lines = await api.call(
        "GET", "/api/assets?job_id=j", headers={"Accept": "application/x-ndjson"}
    )

    assert lines.body.splitlines() == [lines.body.strip()]
    assert asset["id"].encode() in lines.body
    assert lines.headers["Content-Type"].startswith("application/x-ndjson")


async def test_a_counted_page_is_read_each_time(api: Api) -> None:
    await api.created(b"content", job_id="j")
    for _ in range(3):
        assert (await api.get("/api/assets?job_id=j&count=exact")).json["count"] == 1

    assert await used(api) == 0


async def used(api: Api) -> int:
    """Return how many kept answers were sent."""
    metrics = (await api.get("/metrics")).body.decode().splitlines()
    (line,) = [each for each in metrics if each.startswith("asset_ledger_kept_answers_total ")]
    return int(float(line.split()[1]))
