"""multipart/form-data (RFC 7578), read as it arrives: a `file` and a `json`, in either order.

A short and regular body is split in one go, which costs a fifth; everything else, and everything
odd, goes through the push parser. Both ways end in the same parts or the same refusal.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote

from multipart import (
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from asset_ledger.api.contract.errors import UploadTooLargeError
from asset_ledger.api.http.body import MAX_JSON, next_chunk, read_short
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.content.store import Stage
from asset_ledger.ledger.errors import MalformedBodyError, TooLargeError

MAX_OVERHEAD: Final = MAX_JSON + 64 * 1024
"""How much longer than its file a form may be: the json, and headers and delimiters."""

_EXTENDED_NAME: Final = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)


class Part(NamedTuple):
    """The head of one part of a form. `length` is its own Content-Length, which is rare."""

    name: str
    filename: str | None
    content_type: str | None
    length: str | None


class Form:
    """What the parts of a form add up to: the text of `json`, and the head and bytes of `file`."""

    def __init__(self, open_stage: Callable[[], Stage], max_file: int) -> None:
        self.file: Part | None = None
        self.stage: Stage | None = None
        self.json: bytes | None = None
        self._open_stage = open_stage
        self._most, self._room = max_file, max_file or float("inf")
        self._in_file = False

    def begin(self, part: Part) -> None:
        """The next part begins. Raises MalformedBodyError for one that has no business here."""
        if part.name == "file" and self.file is None:
            self.file, self.stage, self._in_file = part, self._open_stage(), True
        elif part.name == "json" and self.json is None:
            self.json, self._in_file = b"", False
        elif part.name in ("file", "json"):
            raise MalformedBodyError(f"the form has two parts that are named {part.name}")
        else:
            raise MalformedBodyError(f"the form has a part {part.name!r}; file and json are read")

    async def take(self, content: bytes) -> None:
        """More of the part that began last. Raises TooLargeError."""
        if not self._in_file or self.stage is None:
            self._take_json(content)
            return
        self._room -= len(content)
        if self._room < 0:
            raise UploadTooLargeError(self._most)
        await self.stage.write(content)

    def _take_json(self, content: bytes) -> None:
        self.json = (self.json or b"") + content
        if len(self.json) > MAX_JSON:
            raise TooLargeError(f"json is longer than {MAX_JSON:,} bytes")


async def read_form(request: Request, form: Form) -> None:
    """Read the whole body into `form`. Raises MalformedBodyError and TooLargeError."""
    boundary = _boundary(request.headers.get("Content-Type", ""))
    body = await read_short(request)
    try:
        parts = None if body is None else _split(body, boundary)
        if parts is not None:
            await _take_whole(form, parts)
        else:
            await _take_pieces(form, request, PushMultipartParser(boundary), body)
    except MultipartError as error:
        raise MalformedBodyError(f"the form cannot be read: {error}") from error


async def _take_whole(form: Form, parts: Iterable[tuple[Part, bytes]]) -> None:
    for part, content in parts:
        form.begin(part)
        await form.take(content)


async def _take_pieces(
    form: Form, request: Request, parser: PushMultipartParser, body: bytes | None
) -> None:
    chunk, idle = body if body is not None else await next_chunk(request), 0
    while chunk:
        idle += len(chunk)
        for event in parser.parse(chunk):
            idle = 0
            if isinstance(event, MultipartSegment):
                form.begin(_part(event))
            elif event:
                await form.take(bytes(event))
        if idle > MAX_OVERHEAD:
            raise MalformedBodyError("the form goes on and on without a part")
        chunk = b"" if body is not None else await next_chunk(request)
    parser.close()


def _split(body: bytes, boundary: bytes) -> list[tuple[Part, bytes]] | None:
    """The parts of a regular body; None if it is anything else."""
    delimiter = b"--" + boundary
    first, *pieces = body.split(b"\r\n" + delimiter)
    if not pieces or not first.startswith(delimiter) or pieces.pop() not in (b"--", b"--\r\n"):
        return None
    parts = []
    for piece in (first[len(delimiter) :], *pieces):
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank or not head.startswith(b"\r\n"):
            return None
        part = _part_of_head(head[2:])
        if part.length is not None:  # has to be held against what follows: the parser does
            return None
        parts.append((part, content))
    return parts


@lru_cache(maxsize=256)  # of up to 33 KB each
def _part_of_head(head: bytes) -> Part:
    """The head of a part, as the parser reads it."""
    for event in PushMultipartParser(b"-").parse(b"---\r\n" + head + b"\r\n\r\n"):
        if isinstance(event, MultipartSegment):
            return _part(event)
    raise MalformedBodyError("the form has a part without a head")


def _part(segment: MultipartSegment) -> Part:
    coding = segment.header("Content-Transfer-Encoding") or "binary"
    if coding.strip().lower() not in ("binary", "8bit", "7bit"):
        raise MalformedBodyError(f"a part in {coding!r} is not read: send its bytes as they are")
    disposition = segment.header("Content-Disposition") or ""
    extended = _EXTENDED_NAME.search(disposition)
    return Part(
        name=segment.name or "",
        filename=unquote(extended[1]) if extended else segment.filename,
        content_type=segment.header("Content-Type"),
        length=segment.header("Content-Length"),
    )


@lru_cache(maxsize=256)
def _boundary(content_type: str) -> bytes:
    _, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if not 1 <= len(boundary) <= 200:
        raise MalformedBodyError("a form needs a boundary of 1 to 200 characters")
    return bytes(boundary.encode("utf-8", "surrogateescape"))
