"""The ledger that calls use: of a `with` block, of the process, or of the environment."""

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


def test_an_installed_ledger_is_closed_with_its_event_loop(tmp_path: Path) -> None:
    async def install() -> None:
        await connect(data_dir=tmp_path).install()
        gc.collect()  # the test keeps no reference to the connection
        await ProcessingContext().create_asset("a", content=b"x")

    for _ in range(2):  # the second run fails if the folder is still open
        asyncio.run(install())

    with pytest.raises(NotConnectedError):
        asyncio.run(names())


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


@pytest.mark.parametrize("url", ["localhost:7777", "ftp://localhost", "http://", "/data"])
def test_an_invalid_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is not the address of a ledger"):
        connect(url)


def test_connect_takes_either_a_url_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not both"):
        connect("http://localhost", data_dir=tmp_path)
    with pytest.raises(NotConnectedError, match="needs a url or a data_dir"):
        connect()
