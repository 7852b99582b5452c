"""Output of the commands into pipes, closed streams, other encodings and terminals."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from asset_ledger.api.cli.output import READER_GONE
from asset_ledger.api.settings import Settings
from tests.api.running import serving
from tests.journeys.server import PROGRAM

HOSTILE = "boom \x1b[2J\x1b]0;a title\x07 \x9b31m \u202e gnp.exe\r\nasset-ledger: all is well"


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A data folder whose job j has hostile texts in each field that takes one."""
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await api.created(name="a.png", job_id="j", metadata={"note": HOSTILE})
        body = {"status": "failed", "error": HOSTILE}
        answer = await api.call("POST", "/api/jobs/j/finish", json=body)
        assert answer.status < 300, answer.body
    return tmp_path / "data"


def started(*arguments: str | Path, stdout: int | None, **environment: str) -> bytes:
    """Run a command; its standard output and error, if it is a pipe."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        timeout=60,
        check=True,
    )
    return (done.stdout or b"") + done.stderr


COMMANDS = [
    ["verify"],
    ["verify", "--json"],
    ["replay", "j"],
    ["replay", "j", "--json"],
    ["tail", "--after", "0", "--count", "2"],
    ["compare", "j", "j"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_control_character_of_an_event_is_printed(folder: Path, command: list[str]) -> None:
    shown = started(*command, "--data-dir", folder, stdout=subprocess.PIPE).decode()

    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"}.intersection(shown)
    assert "\nasset-ledger: all is well" not in shown


def test_json_has_the_texts_unchanged(folder: Path) -> None:
    shown = started("replay", "j", "--json", "--data-dir", folder, stdout=subprocess.PIPE)

    assert json.loads(shown.splitlines()[-1])["data"]["error"] == HOSTILE


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_closed_pipe_is_not_reported_as_a_finding(folder: Path, command: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [PROGRAM, *command, "--data-dir", folder],
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (READER_GONE, b"")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_closed_standard_output_is_no_error(folder: Path, command: list[str]) -> None:
    quoted = [str(PROGRAM), *command, "--data-dir", str(folder)]

    assert shell('"$@" >&-', quoted) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_the_output_is_refused_with_one_line(folder: Path) -> None:
    quoted = [str(PROGRAM), "verify", "--data-dir", str(folder)]

    code, errors = shell('"$@" > /dev/full', quoted)

    assert code == 2
    assert errors == "asset-ledger: [Errno 28] No space left on device\n"


def shell(script: str, arguments: Sequence[str]) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "-c", script, "sh", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
async def test_every_encoding_of_a_terminal_can_show_every_name(
    tmp_path: Path, encoding: str
) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await api.created(name="Grüße 文件 𝄞.png", job_id="j")

    shown = started(
        "replay",
        "j",
        "--data-dir",
        tmp_path / "data",
        stdout=subprocess.PIPE,
        PYTHONIOENCODING=encoding,
    )

    name = "Grüße 文件 𝄞.png".encode(encoding, "backslashreplace")
    assert name in shown
