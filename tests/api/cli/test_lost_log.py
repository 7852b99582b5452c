"""A data folder that lost its log: every writer refuses it and leaves it unchanged."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from asset_ledger import Asset, ProcessingContext, connect
from asset_ledger.errors import DataFolderError
from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.sqlite import SqliteLog
from tests.api.imports.nodetool import NodeTool
from tests.journeys.server import run

pytestmark = pytest.mark.slow

SMALL, LARGE = b"a few bytes", bytes(100_000)


def remove(log: Path) -> None:
    log.unlink()


def empty(log: Path) -> None:
    log.write_bytes(b"")


def replace(log: Path) -> None:
    """Replace the log by a log without events."""
    log.unlink()
    SqliteLog(log, Codec()).close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folders `small` and `large`, each with one content and without a server."""

    async def record(folder: Path, content: bytes) -> None:
        async with connect(data_dir=folder):
            await ProcessingContext().create_asset("a.bin", content=content)

    folder = tmp_path_factory.mktemp("recorded")
    for name, content in (("small", SMALL), ("large", LARGE)):
        asyncio.run(record(folder / name, content))
    return folder


@pytest.fixture
def folder(recorded: Path, tmp_path: Path) -> Path:
    """A data folder for one test, with one small content."""
    return shutil.copytree(recorded / "small", tmp_path / "data")


def refusal(folder: Path) -> str:
    return (
        f"{folder / 'ledger.db'} is missing or empty, but there are contents: restore it from the"
        f" backup, or move {folder / 'content'} away to start a new ledger"
    )


@pytest.mark.parametrize("command", ["serve --port 0", "rebuild", "key rotate", "token create"])
def test_a_folder_without_its_log_is_refused_with_a_remedy(folder: Path, command: str) -> None:
    remove(folder / "ledger.db")

    done = run(*command.split(), "--data-dir", folder)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"asset-ledger: {refusal(folder)}\n"
    assert not (folder / "ledger.db").exists()


def test_an_import_refuses_a_folder_without_its_log(folder: Path, tmp_path: Path) -> None:
    remove(folder / "ledger.db")

    result = NodeTool(tmp_path).run_import(folder)

    assert str(result.exception) == refusal(folder)


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("lose", [remove, empty, replace])
async def test_a_missing_empty_or_replaced_log_is_refused(
    recorded: Path, tmp_path: Path, size: str, lose: Callable[[Path], None]
) -> None:
    folder = shutil.copytree(recorded / size, tmp_path / "data")
    lose(folder / "ledger.db")

    with pytest.raises(DataFolderError) as refused:
        await connect(data_dir=folder).install()

    assert str(refused.value) == refusal(folder)


def test_a_rebuild_refuses_an_empty_log_file(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()

    done = run("rebuild", "--data-dir", tmp_path)

    assert (done.returncode, "there is no ledger in" in done.stderr) == (2, True)
    assert (tmp_path / "ledger.db").stat().st_size == 0


@pytest.mark.parametrize("lose", [remove, empty])
async def test_a_folder_opens_after_its_log_is_restored(
    folder: Path, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    backup = shutil.copy(folder / "ledger.db", tmp_path / "backup.db")
    lose(folder / "ledger.db")
    with pytest.raises(DataFolderError):
        await connect(data_dir=folder).install()

    shutil.copy(backup, folder / "ledger.db")

    async with connect(data_dir=folder):
        assert [asset.name async for asset in Asset.iterate()] == ["a.bin"]


async def test_a_folder_without_log_and_contents_opens_empty(folder: Path, tmp_path: Path) -> None:
    remove(folder / "ledger.db")

    (folder / "content").rename(tmp_path / "away")

    async with connect(data_dir=folder):
        assert [asset.name async for asset in Asset.iterate()] == []


@pytest.mark.parametrize("left", [[], ["content/packs/00000001.pack"], ["ledger.db"]], ids=str)
async def test_a_folder_opens_after_a_killed_first_start(tmp_path: Path, left: list[str]) -> None:
    contents = await open_local_contents(tmp_path / "content")
    await contents.close()
    for file in left:  # as it is created, before its first write
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"")

    async with connect(data_dir=tmp_path):
        assert [asset.name async for asset in Asset.iterate()] == []


async def test_a_folder_of_the_layout_before_packs_is_refused_in_one_line(folder: Path) -> None:
    (folder / "content" / "packed.db").touch()

    done = run("serve", "--port", "0", "--data-dir", folder)

    assert done.returncode == 2
    assert "packed.db: export the ledger with that version, and import it" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def checkpointed(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def record_and_keep_the_wal(folder: Path, kept: Path, number: int) -> None:
    """Record, and copy the folder as a kill would leave it: with its WAL."""
    async with connect(data_dir=folder):
        for each in range(number):
            await ProcessingContext().create_asset(f"{each}.bin", content=bytes(each))
        shutil.copytree(folder, kept)


@pytest.mark.parametrize("number", [3, 30, 300])
async def test_a_log_that_is_older_than_the_wal_beside_it_is_refused(
    folder: Path, tmp_path: Path, number: int
) -> None:
    checkpointed(folder)
    backup = shutil.copy(folder / "ledger.db", tmp_path / "backup.db")
    async with connect(data_dir=folder):
        for each in range(40):
            await ProcessingContext().create_asset(f"{each}.txt", content=bytes([each]))
    checkpointed(folder)
    await record_and_keep_the_wal(folder, tmp_path / "killed", number)
    shutil.copy(backup, tmp_path / "killed" / "ledger.db")

    done = run("serve", "--port", "0", "--data-dir", tmp_path / "killed")

    assert (done.returncode, done.stdout) == (2, "")
    assert "ledger.db is older than ledger.db-wal beside it: restore both" in done.stderr


@pytest.mark.parametrize("number", [1, 2, 300])
async def test_a_log_opens_with_the_wal_that_a_kill_left(
    folder: Path, tmp_path: Path, number: int
) -> None:
    await record_and_keep_the_wal(folder, tmp_path / "killed", number)
    assert (tmp_path / "killed" / "ledger.db-wal").stat().st_size > 0

    async with connect(data_dir=tmp_path / "killed"):
        assert len((await Asset.paginate(limit=1000))[0]) == number + 1
