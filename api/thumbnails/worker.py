"""`python -m api.thumbnails.worker`: draws what it is asked to, one thing at a time, until its pipe
ends. It gives way to the server, and has only so much memory.
"""

import os
import resource
import sys
import warnings
from contextlib import suppress
from typing import Any, Final

from PIL import Image

from asset_ledger.api.thumbnails.drawing import draw, opened
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import frame, read_frame

MOST_MEMORY: Final = 2 * 2**30
NICE: Final = 10


def main() -> None:
    """Answer every message on standard input with one on standard output."""
    os.nice(NICE)
    with suppress(ValueError, OSError):  # some systems know no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    while message := read_frame(sys.stdin.buffer):
        sys.stdout.buffer.write(answer(*message))
        sys.stdout.buffer.flush()


def answer(head: dict[str, Any], content: bytes) -> bytes:
    """The picture, or why there is none."""
    try:
        with opened(head["path"], content) as source:
            return frame({"refusal": None}, draw(head["kind"], source))
    except UndrawableError as error:
        return frame({"refusal": str(error)}, b"")


if __name__ == "__main__":
    main()
