"""Encode arguments for HTTP: path segments, JSON fields, query parameters."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from urllib.parse import quote

import orjson

from asset_ledger.ledger.errors import FieldError


def segment(name: str) -> str:
    """Quote a name as one path segment."""
    return quote(name, safe="")


def fields_json(fields: Mapping[str, Any]) -> bytes:
    """Encode fields as JSON. Raises FieldError for a value that JSON cannot hold, NaN included."""
    try:
        text = orjson.dumps(fields)
    except TypeError as error:
        raise _refusal(fields, error) from error
    if b"null" in text:  # orjson writes it for NaN and infinity too
        _check_finite(fields)
    return text


def _check_finite(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        try:
            json.dumps(value, allow_nan=False, default=_plain)
        except ValueError as error:
            message = "holds NaN or infinity, which JSON has no number for: send null or a text"
            raise FieldError(name, message) from error


def _plain(value: Any) -> Any:
    """Convert a value that orjson takes and `json` does not, if it can hold a number."""
    if isinstance(value, Enum):
        return value.value
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else None


def _refusal(fields: Mapping[str, Any], error: TypeError) -> FieldError:
    for name, value in fields.items():
        try:
            orjson.dumps(value)
        except TypeError:
            return FieldError(name, str(error))
    return FieldError("fields", str(error))


def query_of(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Encode the parameters that are not None; a sequence repeats its name."""
    return list(_pairs(parameters))


def _pairs(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        if value is None:
            continue
        several = isinstance(value, Sequence) and not isinstance(value, str)
        for each in value if several else (value,):
            yield name, each.isoformat() if isinstance(each, datetime) else str(each)
