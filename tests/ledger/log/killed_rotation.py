"""Rotate the key in copies of a data folder, and kill each rotation one code line later.

    python -m tests.ledger.log.killed_rotation FOLDER

Print the path of each copy whose rotation was killed, until a rotation completes.
"""

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, Final

from asset_ledger.ledger.log import key_rotation
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.merkle import key
from asset_ledger.ledger.storage import files

TRACED: Final = {module.__file__ for module in (key_rotation, key, files)}


class KillAtLine:
    """A trace function that kills this process before its n-th traced line."""

    def __init__(self, line: int) -> None:
        self._left = line

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def completes(folder: Path, line: int) -> bool:
    """Rotate the key in a child process that is killed before the n-th line."""
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status > 0:
            sys.exit("a rotation failed without a kill")
        return status == 0
    log = SqliteLog(folder / "ledger.db", Codec())
    sys.settrace(KillAtLine(line))
    key_rotation.rotate(log, Codec(), folder / "checkpoint.key")
    os._exit(0)


def main(folder: Path) -> None:
    for line in count(1):
        copy = folder / f"killed-before-{line}"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("killed-*"))
        if completes(copy, line):
            return
        print(copy, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
