"""Parse Markdown documents, and run their terminal sessions against a server.

A `console` fence has commands after `$ `, each followed by its expected output, where `...` matches
any text. The sessions of one document share one shell and the folder of one server. A `python`
fence whose first line is a comment with a file name is written to that file.
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
_ANY_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_END = "\x1e"  # marks the end of each output; no command prints it


@dataclass(frozen=True)
class Step:
    """One command and its expected output."""

    command: str
    expected: str

    def fits(self, printed: str) -> bool:
        anything = re.escape(tidy(self.expected)).replace(re.escape("..."), ".*?")
        return re.fullmatch(anything, tidy(printed), re.DOTALL) is not None


def steps(document: str) -> list[Step]:
    """Return the steps of all sessions of a document, in order."""
    return [step for session in _FENCE.findall(document) for step in _steps(session)]


def _steps(session: str) -> Iterable[Step]:
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*\n", part)
        assert command, part
        yield Step(command.group().strip(), part[command.end() :])


def tidy(text: str) -> str:
    """Collapse white space, so that column widths do not matter."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def mismatches(document: str, server: Server) -> list[str]:
    """Run a document's commands, and return those whose output differs from the expected one.

    The working folder has the server's `data` and, as a checkout does, `.venv`.
    """
    home = server.data_dir.parent
    (home / ".venv").symlink_to(Path(sys.executable).parents[1])
    for name, program in _FILE.findall(document):
        (home / name).write_text(program, "utf-8")
    session = steps(document)
    printed = _run(home, [with_port(server, step.command) for step in session])
    return [
        f"$ {step.command}\n{output.strip()}\n"
        for step, output in zip(session, printed, strict=True)
        if not step.fits(output)
    ]


def with_port(server: Server, command: str) -> str:
    """Return the command with this server's port instead of the default one."""
    return command.replace(":7777", f":{server.port}")


def _run(home: Path, commands: Iterable[str]) -> list[str]:
    """Run all commands in one shell, and return the output of each."""
    script = "".join(f"{command}\nprintf {shlex.quote(_END)}\n" for command in commands)
    bash = ["bash", "--norc", "-c", f"exec 2>&1\n{script}"]
    done = subprocess.run(
        bash, cwd=home, capture_output=True, text=True, timeout=4 * PATIENCE, check=False
    )
    return done.stdout.split(_END)[:-1]


def document(name: str) -> str:
    """Return the text of a document, by its path from the root."""
    return (ROOT / name).read_text("utf-8")


def broken_links(name: str) -> list[str]:
    """Return a document's links to files or headings that do not exist."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)", document(name))
    return [f"{path}#{anchor}" for path, anchor in links if not _leads(ROOT / name, path, anchor)]


def _leads(page: Path, path: str, anchor: str) -> bool:
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target.read_text("utf-8")))


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _ANY_FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(text: str, first_heading: str) -> list[list[str]]:
    """Return the rows of the first Markdown table whose first column has this heading."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {first_heading} |"):
            next(lines)  # the rule below the headings
            return [_cells(row) for row in _while_table(lines)]
    raise AssertionError(f"no table has the first column {first_heading}")


def _while_table(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if not line.startswith("|"):
            return
        yield line


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split(" | ")]
