"""The house as its checks read it: every module parsed, every tracked file named.

A check is a function from one module (or one text) to what is wrong with it, so that each can be
shown a planted fault beside the real tree: a check that cannot fail checks nothing.
"""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
NAMESPACE = "asset_ledger"
FLOORS = ("ledger", "projections", "api")
PRODUCT = (*FLOORS, NAMESPACE)


@dataclass(frozen=True)
class Module:
    path: PurePosixPath
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @property
    def package(self) -> str:
        """The dotted name of the package that this module is in (or is)."""
        parts = self.path.parent.parts
        return ".".join((NAMESPACE, *parts) if parts[0] in FLOORS else parts)

    @property
    def name(self) -> str:
        """As it is imported: `asset_ledger.ledger.log.event_log` for `ledger/log/__init__.py`."""
        stem = self.path.stem
        return self.package if stem == "__init__" else f"{self.package}.{stem}".lstrip(".")


def planted(path: str, text: str) -> Module:
    """A module that is not there, to show a check what it has to find."""
    return Module(PurePosixPath(path), text)


def modules(*folders: str) -> Iterator[Module]:
    """Every module of these folders; a link into another folder is not followed."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = PurePosixPath(path.relative_to(ROOT).as_posix())
            yield Module(relative, path.read_text("utf-8"))


def within(name: str, *prefixes: str) -> bool:
    """Is this dotted name one of these, or inside one of them?"""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def tracked() -> list[str]:
    """The paths that git knows, relative to the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of tracked files")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return [path for path in listed.stdout.split("\0") if path and (ROOT / path).exists()]
