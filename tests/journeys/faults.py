"""A disk that fails on demand, under a real server and its committer: a library that is preloaded.

It takes Linux and a C compiler.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

COMPILER: Final = shutil.which("cc")
SOURCE: Final = Path(__file__).with_suffix(".c")

needs_faults = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux", reason="needs Linux and a C compiler"
)


class Faults:
    """The calls that fail in every program that is started while this exists."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        library = folder / "faults.so"
        command = [
            str(COMPILER),
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            str(library),
            str(SOURCE),
            "-ldl",
        ]
        subprocess.run(command, check=True)
        self._file = folder / "faults"
        monkeypatch.setenv("FAULTS", str(self._file))
        monkeypatch.setenv("LD_PRELOAD", str(library))

    @contextmanager
    def failing(self, *calls: str) -> Iterator[None]:
        """Let these calls fail in the block, such as `sync /packs/`: `sync` or `write`, and a part
        of the path."""
        written = self._file.with_suffix(".new")
        written.write_text("".join(f"{call}\n" for call in calls), "utf-8")
        os.replace(written, self._file)
        try:
            yield
        finally:
            self._file.unlink()
