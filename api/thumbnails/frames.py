"""Messages between the server and its drawing processes: a line of JSON, then bytes."""

from typing import Any, BinaryIO, Final

import orjson

LARGEST: Final = 512
"""Pixels of the longer side of a thumbnail, if the request names no other."""


def frame(head: dict[str, Any], content: bytes) -> bytes:
    """Encode a message."""
    return orjson.dumps({**head, "size": len(content)}) + b"\n" + content


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read the next message from a pipe; None at its end."""
    line = stream.readline()
    if not line:
        return None
    head = orjson.loads(line)
    return head, stream.read(head["size"])
