"""The lock of a data folder: one process at a time, also after a kill."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asset_ledger.ledger.errors import DataFolderError, FolderLockedError
from asset_ledger.ledger.storage.files import make_folder
from asset_ledger.ledger.storage.folder_lock import hold_folder, holder_of

_HOLD = """
import sys
from pathlib import Path
from asset_ledger.ledger.storage.folder_lock import hold_folder

with hold_folder(Path(sys.argv[1])) as lock:
    lock.announce("http://127.0.0.1:7777")
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_holder(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def refused(folder: Path) -> str:
    """Return the message of a second lock on a folder."""
    with pytest.raises(FolderLockedError) as refusal, hold_folder(folder):
        pytest.fail("a folder was locked twice")
    return str(refusal.value)


def secret_in(folder: Path) -> str:
    holder = holder_of(folder)
    assert holder is not None
    return holder.secret


def test_hold_folder_names_the_holder_when_it_refuses_a_second_process(tmp_path: Path) -> None:
    with another_holder(tmp_path) as holder:
        refusal = refused(tmp_path)

    assert f"process {holder.pid}" in refusal
    assert "http://127.0.0.1:7777" in refusal


def test_hold_folder_refuses_a_second_lock_in_the_same_process(tmp_path: Path) -> None:
    with hold_folder(tmp_path):
        assert "serves no address" in refused(tmp_path)


def test_hold_folder_keeps_the_holder_in_the_lock_file_when_it_refuses(tmp_path: Path) -> None:
    with another_holder(tmp_path):
        assert refused(tmp_path) == refused(tmp_path)


def test_hold_folder_takes_the_lock_of_a_killed_process(tmp_path: Path) -> None:
    with another_holder(tmp_path) as holder:
        holder.kill()

    with hold_folder(tmp_path) as lock:
        lock.announce("http://127.0.0.1:1")
        assert json.loads((tmp_path / "lock").read_text())["address"] == "http://127.0.0.1:1"


def test_hold_folder_releases_the_lock_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_folder(tmp_path):
        raise ZeroDivisionError

    with hold_folder(tmp_path):
        pass


def test_lock_file_shows_its_secret_to_the_owner_until_the_lock_is_released(tmp_path: Path) -> None:
    with hold_folder(tmp_path) as first:
        lock = tmp_path / "lock"
        assert lock.stat().st_mode & 0o777 == 0o600
        secret = secret_in(tmp_path)
        first.announce("http://127.0.0.1:1")
        assert secret_in(tmp_path) == secret
    assert lock.read_text() == ""
    assert holder_of(tmp_path) is None

    with hold_folder(tmp_path) as second:
        assert not second.admits(secret)


def test_lock_admits_a_secret_once_and_writes_a_new_one(tmp_path: Path) -> None:
    with hold_folder(tmp_path) as lock:
        lock.announce("http://127.0.0.1:1")
        secret = secret_in(tmp_path)

        assert not lock.admits("")
        assert not lock.admits(f"{secret}x")
        assert lock.admits(secret)
        assert not lock.admits(secret)
        assert lock.admits(secret_in(tmp_path))
        assert holder_of(tmp_path) == (os.getpid(), "http://127.0.0.1:1", secret_in(tmp_path))


def test_make_folder_makes_it_and_its_parents_for_the_owner_alone(tmp_path: Path) -> None:
    make_folder(tmp_path / "new" / "data")

    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "new").rglob("*")] == [0o700]
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_hold_folder_refuses_a_file_as_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with (
        pytest.raises(DataFolderError, match="cannot be a data folder"),
        hold_folder(tmp_path / "data"),
    ):
        pytest.fail("a file was taken for a folder")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o777])
def test_hold_folder_lets_only_the_owner_enter_an_existing_folder(
    tmp_path: Path, mode: int
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)

    with hold_folder(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_hold_folder_keeps_a_mode_that_is_narrower(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    with hold_folder(tmp_path):
        assert tmp_path.stat().st_mode & 0o777 == 0o700


def put(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def refused_after(folder: Path, *names: str) -> None:
    """Hold a folder, make these files in it, and refuse to start."""

    def start() -> None:
        with hold_folder(folder):
            for name in names:
                put(folder, name)
            raise DataFolderError("refused")

    with pytest.raises(DataFolderError, match="refused"):
        start()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "name", ["notes.txt", "projections.md", "content/notes.txt", "ledger.db.mine", "mine/ledger.db"]
)
def test_hold_folder_removes_no_file_of_another_program_when_its_block_is_refused(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "new" / "data"
    own = ["ledger.db", "ledger.db-wal", "checkpoint.key", "content/packs/1", "derived/1"]

    refused_after(folder, *own, name)

    assert files_in(folder) == [folder / name]


@pytest.mark.parametrize("name", ["ledger.db", "checkpoint.key", "content/packs/00000001.pack"])
def test_hold_folder_keeps_what_was_there_before_a_refused_block(tmp_path: Path, name: str) -> None:
    put(tmp_path, name)

    refused_after(tmp_path, "sessions.db", "projections.g1.db")

    assert files_in(tmp_path) == [tmp_path / name]


def test_hold_folder_leaves_no_folder_that_a_refused_block_made(tmp_path: Path) -> None:
    refused_after(tmp_path / "a" / "b", "ledger.db")

    assert list(tmp_path.iterdir()) == []
