"""What the server and its drawing processes say to each other: a line of JSON, then bytes."""

from typing import Any, BinaryIO

import orjson


def frame(head: dict[str, Any], content: bytes) -> bytes:
    """A message of this head and these bytes."""
    return orjson.dumps({**head, "size": len(content)}) + b"\n" + content


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next message of a pipe; None at its end."""
    line = stream.readline()
    if not line:
        return None
    head = orjson.loads(line)
    return head, stream.read(head["size"])
