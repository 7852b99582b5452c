"""Terminal sessions in our documents, run as they are written.

A fence of `console` holds commands behind `$ `, each with what it answers below it, where `...`
stands for anything. The sessions of one document share one shell, and one server's folder. A fence
of `python` whose first line names a file is that file.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.house.source import ROOT
from tests.journeys.server import PATIENCE, Server

_FENCE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_END = "\x1e"  # a control character that no answer holds


@dataclass(frozen=True)
class Step:
    """One command, and what its document says that it prints."""

    command: str
    expected: str

    def fits(self, printed: str) -> bool:
        anything = re.escape(tidy(self.expected)).replace(re.escape("..."), ".*?")
        return re.fullmatch(anything, tidy(printed), re.DOTALL) is not None


def steps(document: str) -> list[Step]:
    """The commands of a document's sessions, in order."""
    return [step for session in _FENCE.findall(document) for step in _steps(session)]


def _steps(session: str) -> Iterable[Step]:
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*\n", part)
        assert command, part
        yield Step(command.group().strip(), part[command.end() :])


def tidy(text: str) -> str:
    """However wide its columns were drawn."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def surprises(document: str, server: Server) -> list[str]:
    """What a document's commands print instead of what it says, against a running server.

    They run in the folder that holds the server's `data` and, as in a checkout, `.venv`.
    """
    home = server.data_dir.parent
    (home / ".venv").symlink_to(Path(sys.executable).parents[1])
    for name, program in _FILE.findall(document):
        (home / name).write_text(program, "utf-8")
    wanted = steps(document)
    printed = _run(home, [at(server, step.command) for step in wanted])
    return [
        f"$ {step.command}\n{got.strip()}\n"
        for step, got in zip(wanted, printed, strict=True)
        if not step.fits(got)
    ]


def at(server: Server, command: str) -> str:
    """The command, asking this server instead of the default port."""
    return command.replace(":7777", f":{server.port}")


def _run(home: Path, commands: Iterable[str]) -> list[str]:
    """What each command prints, one shell for all of them."""
    script = "".join(f"{command}\nprintf {shlex.quote(_END)}\n" for command in commands)
    bash = ["bash", "--norc", "-c", f"exec 2>&1\n{script}"]
    done = subprocess.run(
        bash, cwd=home, capture_output=True, text=True, timeout=4 * PATIENCE, check=False
    )
    return done.stdout.split(_END)[:-1]


def document(name: str) -> str:
    """The text of one of our documents."""
    return (ROOT / name).read_text("utf-8")


def broken_links(name: str) -> list[str]:
    """Where a document's links lead, if nothing is there."""
    folder = (ROOT / name).parent
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document(name))
    return [link for link in links if not (folder / link).exists()]


def table(text: str, first_heading: str) -> list[list[str]]:
    """The rows of the Markdown table that opens with this heading."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {first_heading} |"):
            next(lines)  # the rule below the headings
            return [_cells(row) for row in _while_table(lines)]
    raise AssertionError(f"no table opens with {first_heading}")


def _while_table(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if not line.startswith("|"):
            return
        yield line


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split(" | ")]
