"""`python -m asset_ledger.api.thumbnails.worker [FOLDER]`: draws what the server sends.

It runs at low priority and confined (`api/workers/confine.py`): limited memory and processor time,
no network, and of the data folder only the files in FOLDER. It exits when the server dies, also
while a decoder hangs.
"""

import sys
import warnings
from pathlib import Path
from typing import Any, Final

from PIL import Image

from asset_ledger.api.thumbnails.drawing import draw, opened
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import frame, read_frame
from asset_ledger.api.workers.child import exit_with_server, give_way
from asset_ledger.api.workers.confine import allow_processor_time, confine

MOST_MEMORY: Final = 2 * 2**30
MOST_SECONDS: Final = 30
"""Seconds of processor time for one drawing."""
NICE: Final = 10


def main() -> None:
    """Answer every message on standard input with a message on standard output."""
    give_way(nice=NICE)
    Image.init()  # loads every format
    confine(max_memory=MOST_MEMORY, readable=[*map(Path, sys.argv[1:])])
    exit_with_server()
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    while message := read_frame(sys.stdin.buffer):
        allow_processor_time(MOST_SECONDS)
        sys.stdout.buffer.write(answer(*message))
        sys.stdout.buffer.flush()


def answer(head: dict[str, Any], content: bytes) -> bytes:
    """Return a message with what was drawn, or with the reason why there is nothing."""
    try:
        with opened(head["path"], content) as source:
            body, placeholder = draw(head["kind"], source, head["side"])
            about = placeholder and placeholder._asdict()
            return frame({"refusal": None, "placeholder": about}, body)
    except UndrawableError as error:
        return frame({"refusal": str(error)}, b"")


if __name__ == "__main__":
    main()
