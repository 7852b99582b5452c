"""Messages between the server and its drawing processes: a line of JSON, then bytes."""

from typing import Any, BinaryIO, Final, NamedTuple

import orjson

LARGEST: Final = 512
"""Pixels of the longer side of a thumbnail, if the request names no other."""


class Placeholder(NamedTuple):
    """Pixels of the whole picture as it is shown, and its ThumbHash in base64."""

    width: int
    height: int
    thumbhash: str


class Drawn(NamedTuple):
    """A WebP and what stands in its place until it is there, or the JSON of a sound's loudness."""

    body: bytes
    placeholder: Placeholder | None = None


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
