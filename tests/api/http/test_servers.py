"""Several servers on one database: each sees what the others record, and fills the same tables."""

import asyncio
import hashlib
import os
import random
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from asset_ledger.api import upkeep
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commands.delete import Delete
from asset_ledger.ledger.content.store import SMALL
from tests.api import running
from tests.api.http.test_events import stream
from tests.api.http.test_uploads import append, content_of, created, head, recorded
from tests.api.http.test_uploads import create as create_upload
from tests.api.running import Api, serving
from tests.postgres import Postgres

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
pytestmark = pytest.mark.slow


END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


class Two(NamedTuple):
    """Two servers of one database, each with a data folder of its own."""

    first: Api
    second: Api


@pytest.fixture(autouse=True)
def in_one_database(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the name of the database."""
    from asset_ledger.api.database.engine import DatabaseEngine  # noqa: PLC0415 - an optional extra

    with postgres.database() as url:
        monkeypatch.setattr(running, "engine_for", lambda folder: DatabaseEngine(url, folder))
        yield url.removeprefix("postgresql:///").partition("?")[0]


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with (
        serving(Settings(data_dir=tmp_path / "first")) as first,
        serving(Settings(data_dir=tmp_path / "second")) as second,
    ):
        yield Two(first, second)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):  # fails a test that hangs
        while not await condition():  # noqa: ASYNC110 - of a server, which has no event for it
            await asyncio.sleep(0.01)


async def names(api: Api, position: int) -> list[str]:
    """Return the names of all assets, as of a position or later."""
    answer = await api.get(f"/api/assets?min_position={position}")
    assert answer.status == 200, answer.body
    return sorted(asset["name"] for asset in answer.json["assets"])


async def test_each_server_reads_what_the_other_one_wrote(two: Two) -> None:
    for number in range(6):
        writer, reader = (two.first, two.second) if number % 2 else (two.second, two.first)
        answer = await writer.upload(b"x", name=f"n{number}", job_id="j", node_id="n")
        position = int(answer.headers["Ledger-Position"])

        assert await names(reader, position) == [f"n{n}" for n in range(number + 1)]
        assert (await reader.get(answer.json["get_url"])).body == b"x"
    await until(lambda: counted(two, 6))


async def counted(two: Two, count: int) -> bool:
    """Return whether usage and search of both servers have so many assets."""
    for api in two:
        usage = (await api.get("/api/assets/usage?group_by=node_id")).json["usage"]
        found = (await api.get("/api/assets/search?query=n")).json["assets"]
        if [row["count"] for row in usage] != [count] or len(found) != count:
            return False
    return True


async def test_usage_of_a_position_is_read_after_its_rows_are_committed(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asset_ledger.projections.runtime.table_schemas import PostgresDatabase  # noqa: PLC0415

    exclusive = PostgresDatabase.exclusive

    @contextmanager
    def late(database: PostgresDatabase) -> Iterator[bool]:
        with exclusive(database) as is_mine:
            yield is_mine
            time.sleep(0.1)  # a slow COMMIT

    monkeypatch.setattr(PostgresDatabase, "exclusive", late)
    for number, api in enumerate((*two, *two), 1):
        position = (await api.upload(b"x", node_id="n")).headers["Ledger-Position"]
        path = f"/api/assets/usage?group_by=node_id&min_position={position}"
        assert [row["count"] for row in (await api.get(path)).json["usage"]] == [number]


async def test_writes_of_both_at_once_have_one_order(two: Two) -> None:
    answers = await asyncio.gather(
        *(api.upload(b"x", name=f"{n} {api.url}") for n in range(20) for api in two)
    )

    positions = sorted(int(answer.headers["Ledger-Position"]) for answer in answers)
    assert [answer.status for answer in answers] == [201] * 40
    head = max(positions)
    assert len(await names(two.first, head)) == len(await names(two.second, head)) == 40
    events = (await two.second.get("/api/events?after=0&limit=1000&all=true")).json["events"]
    assert [event["position"] for event in events] == [*range(1, head + 1)]


async def test_a_stream_sends_events_of_another_server(two: Two) -> None:
    async with stream(two.second) as blocks:
        await two.first.created(name="elsewhere")

        async for block in blocks:
            if block.data:
                assert block.data["data"]["name"] == "elsewhere"
                return


async def test_a_rebuild_of_one_server_switches_the_other_one(two: Two) -> None:
    await two.first.created(name="before")
    await two.first.call("POST", "/api/projections/rebuild", json={"dry_run": False})
    built = await two.first.backend.rebuilds.wait()
    assert built is not None
    assert (built.result, built.error) == ("switched", None)

    answer = await two.second.upload(name="after")

    assert answer.status == 201, answer.body
    await until(lambda: serves(two.second, built.building.generation))
    for api in two:
        assert await names(api, int(answer.headers["Ledger-Position"])) == ["after", "before"]


async def serves(api: Api, generation: int) -> bool:
    shown = (await api.get("/api/projections")).json["serving"]["generation"]
    return bool(shown == generation)


async def test_a_token_is_refused_by_every_server_after_its_revocation(two: Two) -> None:
    sent = {"user_id": "1", "scopes": ["read"], "name": "n"}
    made = (await two.first.call("POST", "/api/tokens", json=sent)).json
    await until(lambda: lists_token(two.second, made["id"], revoked=False))

    await two.second.call("DELETE", f"/api/tokens/{made['id']}")

    await until(lambda: lists_token(two.first, made["id"], revoked=True))


async def lists_token(api: Api, token_id: str, *, revoked: bool) -> bool:
    found = [each for each in api.backend.tokens.all() if each.id == token_id]
    return [bool(each.revoked_at) for each in found] == [revoked]


async def test_every_server_signs_with_the_key_in_force(two: Two) -> None:
    await two.first.created()
    await two.first.backend.proofs.rotate("1")

    signed = await two.first.backend.proofs.checkpoint()
    await until(lambda: signs_with(two.second, signed.key))


async def signs_with(api: Api, key: str) -> bool:
    await api.created()
    try:
        return (await api.backend.proofs.checkpoint()).key == key
    except Exception:
        return False


async def test_a_server_is_not_ready_while_the_database_is_away(
    two: Two, postgres: Postgres, in_one_database: str
) -> None:
    postgres.execute(f"ALTER DATABASE {in_one_database} ALLOW_CONNECTIONS false")
    postgres.execute(END.format(in_one_database))

    await until(lambda: is_ready(two.first, False))
    refused = await two.first.upload()
    postgres.execute(f"ALTER DATABASE {in_one_database} ALLOW_CONNECTIONS true")

    assert (refused.status, refused.slug) == (503, "storage-failed")
    await until(lambda: is_ready(two.first, True))
    answer = await two.first.upload(name="back")
    assert answer.status == 201, answer.body
    assert await names(two.second, int(answer.headers["Ledger-Position"])) == ["back"]


async def is_ready(api: Api, ready: bool) -> bool:
    return bool((await api.get("/readyz")).json["ready"] is ready)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000, SMALL + 1])
async def test_collection_of_one_server_keeps_what_another_one_uploads(
    tmp_path: Path, size: int
) -> None:
    store, everything = str(tmp_path / "shared"), {"apply": True, "retain_deleted": "0"}
    async with (
        serving(Settings(data_dir=tmp_path / "first", content_url=store)) as first,
        serving(Settings(data_dir=tmp_path / "second", content_url=store)) as second,
    ):
        for number in range(12):
            content = bytes([number]) * size
            former = await first.created(content)
            await first.call("DELETE", f"/api/assets/{former['id']}")
            collected, *assets = await asyncio.gather(
                second.call("POST", "/api/collection", json=everything),
                *(first.created(content) for _ in range(3)),
            )

            assert collected.status == 200, collected.body
            for api in (first, second):
                for asset in assets:
                    path = f"/api/assets/{asset['id']}/content?min_position={first.head()}"
                    answer = await api.get(path)
                    assert answer.body == content, (number, answer.body)


async def test_another_server_finishes_an_interrupted_deletion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "FINISH", 0.2)
    async with (
        serving(Settings(data_dir=tmp_path / "first")) as first,
        serving(Settings(data_dir=tmp_path / "second")) as second,
    ):
        folder = await first.created(None, name="f", content_type="folder")
        for _ in range(3):
            await second.created(parent_id=folder["id"])
        with monkeypatch.context() as patch:
            patch.setattr(Delete, "_empty", cut_short)
            cut = await first.call("DELETE", f"/api/assets/{folder['id']}")
        assert cut.status == 500

        await until(lambda: has_names(second, []))
        events = (await first.get("/api/events?after=0&limit=1000&all=true")).json["events"]
        deleted = [each["asset_id"] for each in events if each["topic"] == "asset.deleted"]
        assert (len(deleted), len({*deleted})) == (4, 4)


async def cut_short(*_: Any) -> None:
    raise ConnectionError("the server died")


async def has_names(api: Api, expected: list[str]) -> bool:
    return await names(api, api.head()) == expected


TUS = {"Tus-Resumable": "1.0.0"}
LARGE = random.Random("upload").randbytes((9 << 20) + 5)
"""More than one part of an upload has."""


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Two]:
    """Two servers whose large contents are in one store."""
    store = str(tmp_path / "store")
    async with (
        serving(Settings(data_dir=tmp_path / "first", content_url=store)) as first,
        serving(Settings(data_dir=tmp_path / "second", content_url=store)) as second,
    ):
        yield Two(first, second)


def objects(two: Two) -> int:
    """Return how many objects the store has."""
    store = Path(two.first.backend.settings.content_url or "")
    return len([path for path in store.rglob("*") if path.is_file()])


@pytest.mark.parametrize("steps", [(0, 1, 70_000, 200_000), (0, 8 << 20, len(LARGE)), (0, 3)])
async def test_an_upload_continues_on_any_server(shared: Two, steps: tuple[int, ...]) -> None:
    content = LARGE[: steps[-1]]
    path = await created(shared.first, len(content), job_id="j")
    last = await head(shared.second, path)
    for number, (start, end) in enumerate(pairwise(steps)):
        server, other = (shared.second, shared.first) if number % 2 == 0 else shared
        last = await append(server, path, start, content[start:end])
        assert last.status == 204, last.body
        assert (await head(other, path)).headers["Upload-Offset"] == str(end)

    assert await content_of(shared.first, last) == content
    (asset,) = await recorded(shared.second)
    assert asset["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert objects(shared) == (len(content) > SMALL)


async def test_of_two_servers_that_append_at_once_one_is_refused(shared: Two) -> None:
    path = await created(shared.first, 200_000)

    answers = await asyncio.gather(*(append(s, path, 0, LARGE[:100_000]) for s in shared))
    ends = await asyncio.gather(*(append(s, path, 100_000, LARGE[100_000:200_000]) for s in shared))

    assert sorted(answer.status for answer in answers) == [204, 409]
    assert 204 in [answer.status for answer in ends]
    assert {answer.status for answer in ends} <= {204, 409}
    (asset,) = await recorded(shared.first)
    assert (await shared.second.get(f"/api/assets/{asset['id']}/content")).body == LARGE[:200_000]
    assert objects(shared) == 1


async def test_an_upload_with_a_key_is_created_once_by_both_servers(shared: Two) -> None:
    sent = {"Idempotency-Key": "k"}

    answers = await asyncio.gather(*(create_upload(s, 3, sent) for s in shared for _ in range(3)))
    (path,) = {answer.headers["Location"] for answer in answers}
    await append(shared.second, path, 0, b"abc")
    again = await create_upload(shared.first, 3, sent)

    assert (again.headers["Location"], again.headers["Upload-Offset"]) == (path, "3")
    assert len(await recorded(shared.first)) == 1


async def test_bytes_with_a_wrong_checksum_are_dropped_by_any_server(shared: Two) -> None:
    path = await created(shared.first, len(LARGE))
    wrong = "sha1 " + b64encode(hashlib.sha1(b"").digest()).decode()

    refused = await append(shared.second, path, 0, LARGE, Upload_Checksum=wrong)

    assert refused.status == 460
    assert (await head(shared.first, path)).headers["Upload-Offset"] == "0"
    await until(lambda: has_objects(shared, 0))


async def test_parts_of_bytes_with_a_checksum_are_stored_as_they_arrive(shared: Two) -> None:
    async def sent() -> AsyncIterator[bytes]:
        yield LARGE
        await until(lambda: has_objects(shared, 1))
        yield b"."

    path = await created(shared.first, len(LARGE) + 1)
    right = "sha1 " + b64encode(hashlib.sha1(LARGE + b".").digest()).decode()

    last = await append(shared.first, path, 0, sent(), Upload_Checksum=right)

    assert await content_of(shared.second, last) == LARGE + b"."


async def has_objects(two: Two, count: int) -> bool:
    return objects(two) == count


async def test_an_upload_is_deleted_by_another_server(shared: Two) -> None:
    path = await created(shared.first, len(LARGE))
    await append(shared.first, path, 0, LARGE[: 8 << 20])

    assert (await shared.second.call("DELETE", path, headers=TUS)).status == 204

    assert (await head(shared.first, path)).status == 404
    assert (await append(shared.first, path, 8 << 20, b"x")).status == 404
    assert objects(shared) == 0


async def test_parts_of_an_unfinished_upload_are_not_swept(shared: Two) -> None:
    path = await created(shared.first, 200_000)
    await append(shared.first, path, 0, LARGE[:100_000])
    contents: Any = shared.second.backend.ledger.contents

    assert await contents.sweep() == 0
    age_objects(shared)
    assert await contents.sweep() == 0
    last = await append(shared.second, path, 100_000, LARGE[100_000:200_000])

    assert await content_of(shared.first, last) == LARGE[:200_000]


def age_objects(two: Two) -> None:
    """Make each object two days old."""
    store = Path(two.first.backend.settings.content_url or "")
    for path in store.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 2 * 86_400,) * 2)
