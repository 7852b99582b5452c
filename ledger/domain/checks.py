"""Checks of field values. Each raises FieldError with the name of an invalid field."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import orjson

from asset_ledger.ledger.domain.asset import FOLDER
from asset_ledger.ledger.domain.event import Json
from asset_ledger.ledger.errors import FieldError, TooLargeError

MAX_METADATA: Final = 32 * 1024
MAX_DEPTH: Final = 100
"""How deep objects and arrays may be nested: orjson fails at 254 levels."""

MAX_ID: Final = 1024
MAX_NAME: Final = 4096
MAX_ERROR: Final = 32 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}(?:\s*;.{0,255})?", re.ASCII)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def check_text(field_name: str, text: str, limit: int) -> None:
    """Require 1 to `limit` characters, without control characters."""
    if not text:
        raise FieldError(field_name, "must not be empty")
    if len(text) > limit:
        raise FieldError(field_name, f"must be at most {limit:,} characters")
    if _CONTROL.search(text):
        raise FieldError(field_name, "must not contain control characters")


def check_tag(field_name: str, value: str | None) -> None:
    """Require the id of a workflow, a node or a job to be None or an opaque text."""
    if value is not None:
        check_text(field_name, value, MAX_ID)


def check_attempt(attempt: int | None, job_id: str | None) -> None:
    """Require the attempt of a job to be None, or a number from 1 with a job."""
    if attempt is None:
        return
    if job_id is None:
        raise FieldError("attempt", "needs a job_id: name the job, or leave both out")
    if attempt < 1:
        raise FieldError("attempt", "must be 1 or more: attempts count from 1")


def check_error(error: str | None) -> None:
    """Allow newlines, for tracebacks. Refuse U+0000 and surrogates, which UTF-8 cannot encode."""
    if error is None:
        return
    if len(error) > MAX_ERROR:
        raise FieldError("error", f"must be at most {MAX_ERROR:,} characters")
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in error):
        raise FieldError("error", "must be text without U+0000")


def check_duration(seconds: float) -> None:
    """Require a finite number of seconds, zero or more."""
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise FieldError("duration", "must be a number of seconds, zero or more")


def lower_media_type(text: str) -> str:
    """Return a media type with its type and subtype in lower case (RFC 9110, 8.3.1)."""
    essence, semicolon, parameters = text.partition(";")
    return essence.lower() + semicolon + parameters


def check_content_type(content_type: str) -> None:
    """Require `type/subtype`, with optional parameters, or `folder`."""
    if content_type != FOLDER and not _MEDIA_TYPE.fullmatch(content_type):
        raise FieldError("content_type", "must be a media type such as image/png, or folder")
    check_text("content_type", content_type, MAX_NAME)


def check_metadata(metadata: Mapping[str, Json], field_name: str = "metadata") -> None:
    """Require a JSON object of at most 32 KiB (TooLargeError), 64-bit integers and no U+0000."""
    try:
        encoded = orjson.dumps(metadata)
    except TypeError as error:
        raise FieldError(field_name, f"must be a JSON object: {error}") from error
    if is_deep(metadata, encoded):
        raise FieldError(field_name, f"must not be nested deeper than {MAX_DEPTH} levels")
    if len(encoded) > MAX_METADATA:
        size = f"{len(encoded):,} bytes; the limit is {MAX_METADATA:,}"
        raise TooLargeError(f"{field_name} is {size}")
    if _NUL.search(encoded):
        raise FieldError(field_name, "must not contain U+0000")


def is_deep(value: Json, encoded: bytes | bytearray) -> bool:
    """Return whether `value`, whose JSON is `encoded`, is nested deeper than `MAX_DEPTH` levels."""
    if encoded.count(b"{") + encoded.count(b"[") <= MAX_DEPTH:  # nearly always: skip the walk
        return False
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _members(outer)]
    return bool(level)


def _members(value: Json) -> Iterable[Json]:
    if isinstance(value, Mapping):
        return value.values()
    return () if value is None or isinstance(value, str | int | float) else value


def check_tags(tags: Sequence[str]) -> None:
    """Require unique texts of at most `MAX_ID` characters."""
    for tag in tags:
        check_text("tags", tag, MAX_ID)
    if len(set(tags)) != len(tags):
        raise FieldError("tags", "must be unique")
