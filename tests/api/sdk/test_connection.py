"""Which ledger is asked: inside of a `with`, for the process, or from the environment."""

import asyncio
import gc
from pathlib import Path

import pytest

from asset_ledger import Asset, Gateway, ProcessingContext, connect
from asset_ledger.errors import FolderLockedError, NotConnectedError
from tests.api.running import Api


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSET_LEDGER_URL", raising=False)
    monkeypatch.delenv("ASSET_LEDGER_TOKEN", raising=False)


async def names() -> list[str]:
    return [asset.name async for asset in Asset.iterate()]


async def test_inside_of_a_with_its_ledger_is_asked(api: Api, tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path / "one"):
        await ProcessingContext().create_asset("in the folder", content=b"x")
        async with connect(api.url):
            await ProcessingContext().create_asset("behind the url", content=b"x")
            assert await names() == ["behind the url"]
        assert await names() == ["in the folder"]

    with pytest.raises(NotConnectedError, match="ASSET_LEDGER_URL"):
        await names()


async def test_tasks_that_begin_inside_ask_the_same_ledger(tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path):
        await asyncio.gather(*(ProcessingContext().create_asset("a", content=b"x") for _ in "ab"))

        assert await asyncio.create_task(names()) == ["a", "a"]


async def test_two_tasks_may_ask_two_ledgers(tmp_path: Path) -> None:
    both_are_in = asyncio.Barrier(2)

    async def alone(name: str) -> list[str]:
        async with connect(data_dir=tmp_path / name):
            await both_are_in.wait()
            await ProcessingContext().create_asset(name, content=b"x")
            return await names()

    one, other = await asyncio.gather(alone("a"), alone("b"))

    assert (one, other) == (["a"], ["b"])


async def test_what_is_installed_is_asked_everywhere_until_it_is_closed(tmp_path: Path) -> None:
    connection = await connect(data_dir=tmp_path / "process").install()
    await ProcessingContext().create_asset("a", content=b"x")

    assert await names() == ["a"]
    async with connect(data_dir=tmp_path / "other"):
        assert await names() == []

    await connection.close()
    with pytest.raises(NotConnectedError):
        await names()


def test_what_is_installed_is_closed_with_its_event_loop(tmp_path: Path) -> None:
    async def install() -> None:
        await connect(data_dir=tmp_path).install()
        gc.collect()  # nobody here kept the connection
        await ProcessingContext().create_asset("a", content=b"x")

    for _ in range(2):  # a folder that was left open would refuse the second
        asyncio.run(install())

    with pytest.raises(NotConnectedError):
        asyncio.run(names())


async def test_an_installation_that_fails_says_so(tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path):
        with pytest.raises(FolderLockedError):
            await connect(data_dir=tmp_path).install()


async def test_a_folder_is_opened_once(tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path):
        with pytest.raises(FolderLockedError):
            async with connect(data_dir=tmp_path):
                pass


async def test_the_environment_names_a_ledger(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSET_LEDGER_URL", api.url)

    await ProcessingContext().create_asset("a", content=b"x")
    async with connect():
        await ProcessingContext().create_asset("b", content=b"x")

    assert await names() == ["a", "b"]


async def test_a_gateway_may_be_given_by_hand(embedded: Gateway) -> None:
    await ProcessingContext(gateway=embedded).create_asset("a", content=b"x")

    assert [asset.name async for asset in Asset.iterate(gateway=embedded)] == ["a"]


async def test_a_folder_has_many_users(tmp_path: Path) -> None:
    async with connect(data_dir=tmp_path, user_id="eve"):
        await ProcessingContext(user_id="eve").create_asset("hers", content=b"x")

    async with connect(data_dir=tmp_path) as gateway:
        assert await names() == []
        hers, _ = await Asset.paginate(user_id="eve", gateway=gateway)
        assert [asset.name for asset in hers] == ["hers"]
    async with connect(data_dir=tmp_path, user_id="eve"):
        assert await names() == ["hers"]


@pytest.mark.parametrize("url", ["localhost:7777", "ftp://localhost", "http://", "/data"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is no address of a ledger"):
        connect(url)


def test_a_url_and_a_folder_are_two_ledgers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not both"):
        connect("http://localhost", data_dir=tmp_path)
    with pytest.raises(NotConnectedError):
        connect()
