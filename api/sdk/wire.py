"""Encode arguments for HTTP: path segments, JSON fields, query parameters."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from asset_ledger.ledger.errors import FieldError


def segment(name: str) -> str:
    """Quote a name as one path segment."""
    return quote(name, safe="")


def fields_json(fields: Mapping[str, Any]) -> bytes:
    """Encode fields as JSON. Raises FieldError for a value that JSON cannot hold."""
    try:
        return orjson.dumps(fields)
    except TypeError as error:
        raise _refusal(fields, error) from error


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
