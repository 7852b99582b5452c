"""Validate the fields of a JSON body against a model.

Promise: the error names every field at fault, not only the first.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from asset_ledger.api.contract.errors import FieldsError
from asset_ledger.api.contract.parameters import hint
from asset_ledger.ledger.domain.event import Json
from asset_ledger.ledger.errors import FieldError

T = TypeVar("T")

Fields = dict[str, Json]
"""The sent fields by name. Nulls are left out, except in a patch."""


class StrictModel(BaseModel):
    """The base class of requests and responses: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


def read_as(model: type[BaseModel], sent: Mapping[str, Any]) -> Fields:
    """Return the sent fields that are not null. Raises FieldsError, which names every fault."""
    fields = _validated(model, sent)
    return {name: value for name, value in vars(fields).items() if value is not None}


def read_patch(model: type[BaseModel], sent: Mapping[str, Any]) -> Fields:
    """Return the sent fields, nulls included. Raises FieldsError, which names every fault."""
    fields = _validated(model, sent)
    return {name: value for name, value in vars(fields).items() if name in fields.model_fields_set}


def parse_field(field: str, parse: Callable[[str], T], text: str) -> T:
    """Return the parsed text of a field. Raises FieldError with the message of `parse`'s error."""
    try:
        return parse(text)
    except (ValueError, OverflowError) as error:
        raise FieldError(field, str(error)) from error


def _validated(model: type[BaseModel], sent: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        refusals = [_refusal(model, details) for details in error.errors()]
        raise FieldsError(refusals) from error


def _refusal(model: type[BaseModel], details: ErrorDetails) -> tuple[str, str]:
    name = ".".join(map(str, details["loc"]))
    if details["type"] == "extra_forbidden":
        return name, f"is not a field{hint(name, model.model_fields)}"
    return name, details["msg"]
