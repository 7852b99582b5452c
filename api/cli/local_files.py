"""The files that arguments of `put` name: files, folders with all they contain, patterns.

Promise: a link inside a folder is not followed, and a ledger's own data folder is never entered.
"""

import fnmatch
import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from asset_ledger.ledger.storage.data_folder import DataFolder

STDIN: Final = "-"

Report = Callable[[str, str], None]
"""Takes a path, and why it is left out."""


class LocalFile(NamedTuple):
    """A file to record. `path` is None for standard input; `folders` are names, from home."""

    path: Path | None
    folders: tuple[str, ...]
    name: str

    @property
    def shown(self) -> str:
        """The file, for messages."""
        return STDIN if self.path is None else str(self.path)

    @property
    def size(self) -> int:
        """The size in bytes; 0 for a stream, and for a file that is gone."""
        try:
            return self.path.stat().st_size if self.path else 0
        except OSError:
            return 0


class Folder:
    """What to leave out of folders: names that match a pattern, and what is no regular file."""

    def __init__(self, exclude: Sequence[str], skipped: Report, missed: Report) -> None:
        """`skipped` takes what is never recorded, `missed` a folder that cannot be read."""
        self._exclude, self._skipped, self._missed = exclude, skipped, missed

    def files(self, top: Path, into: tuple[str, ...]) -> Iterator[LocalFile]:
        """Yield the files of a folder, at any depth, in order."""
        name = Path(os.path.abspath(top)).name
        for parent, folders, names in os.walk(top, onerror=self._unlisted):
            folders[:] = sorted(each for each in folders if self._enters(Path(parent, each)))
            above = Path(parent).relative_to(top).parts
            inside = (*into, *((name,) if name else ()), *above)
            for each in sorted(names):
                path = Path(parent, each)
                if self._takes(path):
                    yield LocalFile(path, inside, each)

    def has_text(self, file: LocalFile) -> bool:
        """Return whether the names of a file are texts, which the ledger stores."""
        try:
            "".join([*file.folders, file.name]).encode()
        except UnicodeEncodeError:
            self._missed(file.shown, "its name is not UTF-8: rename it")
            return False
        return True

    def _enters(self, folder: Path) -> bool:
        if folder.is_symlink() or self._excludes(folder.name):
            return False
        if DataFolder(folder).log.is_file():
            self._skipped(str(folder), "is the data folder of a ledger")
            return False
        return True

    def _takes(self, path: Path) -> bool:
        if self._excludes(path.name):
            return False
        if path.is_symlink() or not path.is_file():
            self._skipped(str(path), "is a link, or no regular file")
            return False
        return True

    def _excludes(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self._exclude)

    def _unlisted(self, error: OSError) -> None:
        self._missed(str(error.filename), str(error.strerror))


def local_files(
    arguments: Sequence[str], into: tuple[str, ...], name: str | None, folder: Folder
) -> list[LocalFile]:
    """Return the files that arguments name, each once. `name` renames the only one.

    Raises ClickException for an argument that names none.
    """
    named = (each for text in arguments for each in _files(text, into, folder))
    found = dict.fromkeys(each for each in named if folder.has_text(each))
    if name is not None:
        if len(found) != 1:
            raise click.ClickException(f"--name names one file, and {len(found)} were given")
        (only,) = found
        return [only._replace(name=name)]
    if any(each.path is None for each in found):
        raise click.ClickException("standard input has no name: add --name")
    return list(found)


def distinct(files: Sequence[LocalFile]) -> None:
    """Raise ClickException if two files have one path in the ledger: each would undo the other."""
    paths: dict[tuple[str, ...], LocalFile] = {}
    for file in files:
        first = paths.setdefault((*file.folders, file.name), file)
        if first is not file:
            raise click.ClickException(
                f"{first.shown} and {file.shown} have one path in the ledger"
            )


def _files(text: str, into: tuple[str, ...], folder: Folder) -> Iterator[LocalFile]:
    if text == STDIN:
        if sys.stdin is None:
            raise click.ClickException("standard input is closed")
        yield LocalFile(None, into, STDIN)
        return
    paths = [Path(text)] if os.path.lexists(text) else _matching(text)
    for path in paths:
        if path.is_dir():
            yield from folder.files(path, into)
        else:
            yield LocalFile(path, into, path.name)


def _matching(pattern: str) -> list[Path]:
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - of absolute ones too
    if not found:
        raise click.ClickException(f"{pattern}: there is no such file")
    paths = [Path(path) for path in found]
    return [path for path in paths if not path.is_dir()] if "**" in pattern else paths
