"""`python -m asset_ledger.api.thumbnails.worker`: draws the contents that the server sends.

It runs at low priority with limited memory, and exits when the server dies, also while a decoder
hangs.
"""

import sys
import warnings
from typing import Any, Final

from PIL import Image

from asset_ledger.api.thumbnails.drawing import draw, opened
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import frame, read_frame
from asset_ledger.api.workers.child import exit_with_server, give_way

MOST_MEMORY: Final = 2 * 2**30
NICE: Final = 10


def main() -> None:
    """Answer every message on standard input with a message on standard output."""
    exit_with_server()
    give_way(nice=NICE, max_memory=MOST_MEMORY)
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    while message := read_frame(sys.stdin.buffer):
        sys.stdout.buffer.write(answer(*message))
        sys.stdout.buffer.flush()


def answer(head: dict[str, Any], content: bytes) -> bytes:
    """Return a message with the picture, or with the reason why there is none."""
    try:
        with opened(head["path"], content) as source:
            return frame({"refusal": None}, draw(head["kind"], source, head["side"]))
    except UndrawableError as error:
        return frame({"refusal": str(error)}, b"")


if __name__ == "__main__":
    main()
