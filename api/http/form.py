"""Parse forms with the parts `file` and `json`: multipart/form-data (RFC 7578) as it arrives, and
application/x-www-form-urlencoded, which cannot have a file.

A short and regular body is split in one go, which costs a fifth of the parser; any other one goes
through the parser. Both ways end in the same parts, or the same refusal.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from multipart import (
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from asset_ledger.api.contract.errors import UploadTooLargeError
from asset_ledger.api.contract.strict_json import MAX_JSON
from asset_ledger.api.http.body import next_chunk, read_short
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.content.store import Stage
from asset_ledger.ledger.errors import MalformedBodyError, TooLargeError

MAX_OVERHEAD: Final = MAX_JSON + 64 * 1024
"""Bytes that a form may have besides its file: the json, headers and delimiters."""

MAX_ENCODED: Final = 3 * MAX_JSON + 64
"""Bytes of an urlencoded form: each byte of its json may need three."""

_FEW: Final = 100
"""More fields than a form of one asset has: it is refused whatever they are."""
_ONE_FIELD: Final = (
    "an urlencoded form has one field, json; send a file as multipart/form-data,"
    " or its bytes with their own Content-Type"
)
_EXTENDED_NAME: Final = re.compile(r"filename\*\s*=\s*([^';\s]*)'[^']*'([^;\s]+)", re.IGNORECASE)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Part(NamedTuple):
    """The headers of one part of a form. `length` is its own, rare Content-Length."""

    name: str
    filename: str | None
    content_type: str | None
    length: str | None


class Form:
    """A parsed form: the text of `json`, and the headers and bytes of `file`."""

    def __init__(self, open_stage: Callable[[], Stage], max_file: int) -> None:
        self.file: Part | None = None
        self.stage: Stage | None = None
        self.json: bytearray | None = None
        self._open_stage = open_stage
        self._limit, self._room = max_file, max_file or float("inf")
        self._in_file = False

    def begin(self, part: Part) -> None:
        """Begin the next part. Raises MalformedBodyError for an unknown or repeated name."""
        if part.name == "file" and self.file is None:
            self.file, self.stage, self._in_file = part, self._open_stage(), True
        elif part.name == "json" and self.json is None:
            self.json, self._in_file = bytearray(), False
        elif part.name in ("file", "json"):
            raise MalformedBodyError(f"the form has two parts named {part.name}: send one")
        else:
            raise MalformedBodyError(f"the form has a part {part.name!r}: send only file and json")

    async def take(self, content: bytes) -> None:
        """Append bytes to the part that began last. Raises TooLargeError."""
        if not self._in_file or self.stage is None:
            self._take_json(content)
            return
        self._room -= len(content)
        if self._room < 0:
            raise UploadTooLargeError(self._limit)
        await self.stage.write(content)

    def _take_json(self, content: bytes) -> None:
        assert self.json is not None  # `begin` was called
        self.json += content
        if len(self.json) > MAX_JSON:
            raise TooLargeError(f"json is longer than {MAX_JSON:,} bytes")


async def read_form(request: Request, form: Form) -> None:
    """Read the whole body into `form`. Raises MalformedBodyError and TooLargeError."""
    boundary = _boundary(request.headers.get("Content-Type", ""))
    body = await read_short(request)
    try:
        if body is not None and (parts := _split(body, boundary)) is not None:
            for part, content in parts:
                form.begin(part)
                await form.take(content)
            return
        parser = PushMultipartParser(boundary)
        if body is not None:
            await _take(form, parser, body)
        else:
            await _take_pieces(form, request, parser)
        parser.close()
    except MultipartError as error:
        raise MalformedBodyError(
            f"the form cannot be read: {error}; send the whole form again"
        ) from error


async def _take_pieces(form: Form, request: Request, parser: PushMultipartParser) -> None:
    idle = 0
    while chunk := await next_chunk(request):
        idle = 0 if await _take(form, parser, chunk) else idle + len(chunk)
        if idle > MAX_OVERHEAD:
            raise MalformedBodyError(f"no part in {idle:,} bytes of the form: check the boundary")


async def _take(form: Form, parser: PushMultipartParser, chunk: bytes) -> bool:
    """Parse a piece of the body into the form. Return whether it had bytes of a part."""
    found = False
    for event in parser.parse(chunk):
        found = True
        if isinstance(event, MultipartSegment):
            form.begin(_part(event))
        elif event:
            await form.take(bytes(event))
    return found


def _split(body: bytes, boundary: bytes) -> list[tuple[Part, bytes]] | None:
    """Return the parts of a regular body; None leaves any other one to the parser."""
    delimiter = b"\r\n--" + boundary
    first, *pieces = (b"\r\n" + body).split(delimiter)
    if first or not pieces or pieces.pop() not in (b"--", b"--\r\n"):
        return None
    parts = []
    for piece in pieces:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank or not head.startswith(b"\r\n"):
            return None
        part = _part_of_head(head)
        if part.length is not None:  # the parser compares it with the bytes
            return None
        parts.append((part, content))
    return parts


@lru_cache(maxsize=256)
def _part_of_head(head: bytes) -> Part:
    for event in PushMultipartParser(b"-").parse(b"---" + head + b"\r\n\r\n"):
        if isinstance(event, MultipartSegment):
            return _part(event)
    raise MalformedBodyError("the form has a part without a head: send the whole form again")


def _part(segment: MultipartSegment) -> Part:
    coding = segment.header("Content-Transfer-Encoding") or "binary"
    if coding.strip().lower() not in ("binary", "8bit", "7bit"):
        raise MalformedBodyError(f"a part has the encoding {coding!r}: send its bytes as they are")
    disposition = segment.header("Content-Disposition") or ""
    extended = _EXTENDED_NAME.search(disposition)
    return Part(
        name=segment.name or "",
        filename=_decoded(*extended.groups()) if extended else segment.filename,
        content_type=segment.header("Content-Type"),
        length=segment.header("Content-Length"),
    )


def _decoded(charset: str, value: str) -> str:
    """Decode an extended value (RFC 8187, 3.2). Raises MalformedBodyError."""
    if charset.lower() not in ("utf-8", "iso-8859-1"):
        raise MalformedBodyError(f"filename* is in {charset!r}: send UTF-8 or ISO-8859-1")
    if _BAD_ESCAPE.search(value):
        raise MalformedBodyError(f"filename* has a % without two hex digits: {value}")
    try:
        return unquote(value, charset, errors="strict")
    except UnicodeDecodeError as error:
        raise MalformedBodyError(
            f"filename* is declared as {charset}, and {value} is not: escape the bytes of its UTF-8"
        ) from error


def json_of_form(body: bytes) -> bytes:
    """Return the field `json` of an urlencoded form. Raises MalformedBodyError, TooLargeError.

    An empty `file` is ignored: an HTML form sends it for a file input that was left empty.
    """
    fields = _fields(body, _FEW)
    texts = [text for name, text in fields if (name, text) != ("file", "")]
    if len(texts) != 1 or ("json", texts[0]) not in fields:
        raise MalformedBodyError(_ONE_FIELD)
    if len(json := texts[0].encode()) > MAX_JSON:
        raise TooLargeError(f"json is longer than {MAX_JSON:,} bytes")
    return json


def lists_of_form(body: bytes, most: int) -> dict[str, list[str]]:
    """Return the values of each field of an urlencoded form, of which all together have `most`.

    Raises MalformedBodyError.
    """
    lists: dict[str, list[str]] = {}
    for name, text in _fields(body, most):
        lists.setdefault(name, []).append(text)
    return lists


def _fields(body: bytes, most: int) -> list[tuple[str, str]]:
    if body.count(b"&") >= most:  # before the fields are read, which takes longer
        raise MalformedBodyError(f"the form has more than {most:,} fields: send fewer")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise MalformedBodyError(f"the form is not UTF-8: {error}") from error


@lru_cache(maxsize=256)
def _boundary(content_type: str) -> bytes:
    _, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if not 1 <= len(boundary) <= 200:
        raise MalformedBodyError("a form's Content-Type needs a boundary of 1 to 200 characters")
    return bytes(boundary.encode("utf-8", "surrogateescape"))
