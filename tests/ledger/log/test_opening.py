"""The first event of a log: its format, and the refusal of other formats."""

from pathlib import Path

import pytest

from asset_ledger.ledger.domain.ledger import FORMAT, SYSTEM, LedgerOpened, origin_line
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import open_identity, read_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.merkle.key import load_or_make_key, verifier_key
from asset_ledger.ledger.storage.data_folder import DataFolder
from tests.builders import command
from tests.journeys.server import run

LOG_ID = "0" * 31 + "1"


def with_format(folder: Path, number: int) -> Path:
    """Make a data folder whose log states this format."""
    files = DataFolder(folder)
    folder.mkdir()
    log = SqliteLog(files.log, Codec())
    opened = LedgerOpened(
        originator_id=LOG_ID,
        originator_version=1,
        by=SYSTEM,
        log_id=LOG_ID,
        origin=origin_line(LOG_ID),
        public_key=verifier_key(origin_line(LOG_ID), load_or_make_key(files.key)),
        format=number,
        erasable=False,
    )
    log.append([command(opened)], lambda _: None)
    log.close()
    return folder


def test_a_new_log_states_the_format_of_this_release(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "ledger.db", Codec())

    opened = open_identity(log, Codec(), tmp_path / "key", new_log_id=LOG_ID)

    assert (opened.format, FORMAT) == (2, 2)
    assert read_identity(log, Codec()) == opened
    log.close()


@pytest.mark.parametrize("number", [1, 3, 99])
def test_a_log_of_another_format_is_refused_with_its_number(tmp_path: Path, number: int) -> None:
    files = DataFolder(with_format(tmp_path / "data", number))
    log = SqliteLog(files.log, Codec())

    with pytest.raises(DataFolderError, match=rf"format {number}.* format {FORMAT} only"):
        open_identity(log, Codec(), files.key, new_log_id=LOG_ID)

    assert log.head().position == 1
    log.close()


@pytest.mark.parametrize("arguments", [["serve", "--port", "0"], ["rebuild"], ["verify"]])
def test_every_command_refuses_a_folder_of_format_1_in_one_line(
    tmp_path: Path, arguments: list[str]
) -> None:
    folder = with_format(tmp_path / "data", 1)
    folder.chmod(0o700)  # else a start says that it takes the permissions of others

    done = run(*arguments, "--data-dir", folder)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "this ledger has format 1" in done.stderr
