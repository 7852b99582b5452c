"""The ledger that calls use: of a `with` block, of the process, or of the environment."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from asset_ledger import Asset, Gateway, Job, ProcessingContext, connect, events
from asset_ledger.api.sdk.connection import ambient
from asset_ledger.errors import EventLoopError, FolderLockedError, NotConnectedError
from tests.api.running import Api

T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSET_LEDGER_URL", raising=False)
    monkeypatch.delenv("ASSET_LEDGER_TOKEN", raising=False)


async def names() -> list[str]:
    return [asset.name async for asset in Asset.iterate()]


async def names_of_the_process() -> list[str]:
    ambient.set(None)
    return await names()


async def test_calls_in_a_with_block_use_its_ledger(api: Api, tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path / "one"):
        await ProcessingContext().create_asset("in the folder", content=b"x")
        async with connect(api.url):
            await ProcessingContext().create_asset("behind the url", content=b"x")
            assert await names() == ["behind the url"]
        assert await names() == ["in the folder"]

    with pytest.raises(NotConnectedError, match="ASSET_LEDGER_URL"):
        await names()


async def test_tasks_started_in_a_with_block_use_its_ledger(tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path):
        await asyncio.gather(*(ProcessingContext().create_asset("a", content=b"x") for _ in "ab"))

        assert await asyncio.create_task(names()) == ["a", "a"]


async def test_two_tasks_can_use_two_ledgers(tmp_path: Path) -> None:
    both_connected = asyncio.Barrier(2)

    async def record(name: str) -> list[str]:
        async with connect(data_dir=tmp_path / name):
            await both_connected.wait()
            await ProcessingContext().create_asset(name, content=b"x")
            return await names()

    one, other = await asyncio.gather(record("a"), record("b"))

    assert (one, other) == (["a"], ["b"])


async def test_an_installed_ledger_is_used_until_it_is_closed(tmp_path: Path) -> None:
    connection = await connect(data_dir=tmp_path / "process").install()
    await ProcessingContext().create_asset("a", content=b"x")

    assert await names() == ["a"]
    async with connect(data_dir=tmp_path / "other"):
        assert await names() == []

    await connection.close()
    with pytest.raises(NotConnectedError):
        await names()


Door = dict[str, Any]


@pytest.fixture(params=["folder", "url"])
def door(request: pytest.FixtureRequest, api: Api, tmp_path: Path) -> Door:
    """Return the arguments of `connect` for one ledger, in this process or over HTTP."""
    return {"data_dir": tmp_path / "door"} if request.param == "folder" else {"url": api.url}


async def record(name: str) -> list[str]:
    await ProcessingContext().create_asset(name, content=b"x")
    return await names()


async def in_a_new_loop(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await asyncio.to_thread(lambda: asyncio.run(call()))


async def test_an_installed_ledger_survives_its_event_loops(door: Door) -> None:
    connection = connect(**door)

    async def install() -> list[str]:
        await connection.install()
        return await record("a")

    async def other_connection() -> list[str]:
        async with connect(**door):  # a folder is closed between two loops
            return await record("c")

    assert await in_a_new_loop(install) == ["a"]
    assert await in_a_new_loop(lambda: record("b")) == ["a", "b"]
    assert await in_a_new_loop(other_connection) == ["a", "b", "c"]
    assert await in_a_new_loop(lambda: record("d")) == ["a", "b", "c", "d"]
    assert await record("e") == ["a", "b", "c", "d", "e"]
    if "url" in door:
        assert await in_a_new_loop(names) == ["a", "b", "c", "d", "e"]
    else:
        with pytest.raises(EventLoopError, match="another event loop"):
            await in_a_new_loop(names)
        with pytest.raises(EventLoopError, match="another event loop"):
            await in_a_new_loop(connection.close)

    await connection.close()
    for _ in range(2):
        with pytest.raises(NotConnectedError):
            await in_a_new_loop(names)


async def test_every_event_loop_reports_that_the_installed_folder_is_locked(tmp_path: Path) -> None:
    connection = connect(data_dir=tmp_path)
    await in_a_new_loop(connection.install)
    async with connect(data_dir=tmp_path):
        for _ in range(3):
            with pytest.raises(FolderLockedError):
                await in_a_new_loop(names_of_the_process)
    assert await names() == []
    await connection.close()


def test_an_installed_folder_stays_open_without_a_reference_to_its_connection(
    tmp_path: Path,
) -> None:
    async def install() -> list[str]:
        await connect(data_dir=tmp_path).install()
        gc.collect()
        return await record("a")

    async def close() -> None:
        await (await connect(data_dir=tmp_path).install()).close()

    assert asyncio.run(install()) == ["a"]
    asyncio.run(close())  # fails if the folder is still open


CALLS: list[Callable[[Asset, Job, ProcessingContext], Awaitable[object]]] = [
    lambda asset, job, context: asset.content(),
    lambda asset, job, context: asset.update(name="b"),
    lambda asset, job, context: asset.delete(),
    lambda asset, job, context: asset.history(),
    lambda asset, job, context: asset.thumbnail(),
    lambda asset, job, context: asset.placeholder(),
    lambda asset, job, context: asset.peaks(),
    lambda asset, job, context: asset.lineage(),
    lambda asset, job, context: job.compare("j"),
    lambda asset, job, context: context.find_asset(asset.id),
    lambda asset, job, context: context.create_asset("b", content=b"x"),
    lambda asset, job, context: context.__aenter__(),
    lambda asset, job, context: context.nodes(),
    lambda asset, job, context: anext(context.history()),
    lambda asset, job, context: anext(events(gateway=asset.gateway)),
    lambda asset, job, context: Asset.paginate(gateway=asset.gateway),
    lambda asset, job, context: Asset.count(gateway=asset.gateway),
    lambda asset, job, context: Asset.usage(gateway=asset.gateway),
]


async def test_every_call_of_a_closed_connection_raises_not_connected(door: Door) -> None:
    connection = connect(**door)
    async with connection as gateway:
        context = ProcessingContext(job_id="j", gateway=gateway)
        asset = await context.create_asset("a", content=b"x")
        job = await Job.get("j")

    for call in CALLS:
        with pytest.raises(NotConnectedError, match="connect again"):
            await call(asset, job, context)
    with pytest.raises(NotConnectedError, match="connect again"):
        await connection.install()
    await connection.close()


async def test_a_content_that_is_read_while_its_connection_closes_raises_not_connected(
    door: Door,
) -> None:
    connection = await connect(**door).install()
    asset = await ProcessingContext().create_asset("a", content=bytes(20_000_000))
    pieces = asset.chunks()
    await anext(pieces)
    await connection.close()

    with pytest.raises(NotConnectedError, match="connect again"):
        [piece async for piece in pieces]


async def test_an_installation_of_a_locked_folder_raises(tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path):
        with pytest.raises(FolderLockedError):
            await connect(data_dir=tmp_path).install()


async def test_a_folder_cannot_be_opened_twice(tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path):
        with pytest.raises(FolderLockedError):
            async with connect(data_dir=tmp_path):
                pass


async def test_the_environment_variable_names_the_ledger(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSET_LEDGER_URL", api.url)

    await ProcessingContext().create_asset("a", content=b"x")
    async with connect():
        await ProcessingContext().create_asset("b", content=b"x")

    assert await names() == ["a", "b"]


async def test_an_explicit_gateway_is_used(embedded: Gateway) -> None:
    await ProcessingContext(gateway=embedded).create_asset("a", content=b"x")

    assert [asset.name async for asset in Asset.iterate(gateway=embedded)] == ["a"]


async def test_a_folder_has_assets_of_many_users(tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path, user_id="eve"):
        await ProcessingContext(user_id="eve").create_asset("hers", content=b"x")

    async with connect(data_dir=tmp_path) as gateway:
        assert await names() == []
        hers, _ = await Asset.paginate(user_id="eve", gateway=gateway)
        assert [asset.name for asset in hers] == ["hers"]
    async with connect(data_dir=tmp_path, user_id="eve"):
        assert await names() == ["hers"]


async def test_events_that_are_awaited_while_the_connection_closes_raise_not_connected(
    door: Door,
) -> None:
    connection = await connect(**door).install()
    await record("a")
    found = events(after=0)
    await anext(found)
    waiting = asyncio.create_task(anext(found))
    await asyncio.sleep(0.1)  # it waits by now, or else raises at its first step

    await connection.close()

    with pytest.raises(NotConnectedError, match="connect again"):
        async with asyncio.timeout(30):
            await waiting


@pytest.mark.parametrize("url", ["localhost:7777", "ftp://localhost", "http://", "/data"])
def test_an_invalid_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is not the address of a ledger"):
        connect(url)


def test_connect_takes_either_a_url_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not both"):
        connect("http://localhost", data_dir=tmp_path)
    with pytest.raises(NotConnectedError, match="needs a url or a data_dir"):
        connect()
