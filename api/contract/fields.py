"""Validate the fields of a JSON body against a model.

Promise: the error names every field at fault, not only the first, up to ten.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from asset_ledger.api.contract.errors import FieldsError
from asset_ledger.api.contract.parameters import hint
from asset_ledger.ledger.domain.event import Json
from asset_ledger.ledger.errors import FieldError

T = TypeVar("T")

MAX_ERRORS: Final = 10
"""Errors in one answer: finding a similar name takes a millisecond."""

Texts = Annotated[list[str], Field(fail_fast=True)]
"""A list of texts of which the first that is no text is reported: a list may have 100,000."""

Fields = dict[str, Json]
"""The sent fields by name. Nulls are left out, except in a patch."""


class StrictModel(BaseModel):
    """The base class of requests and responses: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


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


def refuse_fields(errors: Iterable[tuple[str, str]]) -> FieldsError:
    """Return the error of the first ten of some fields and their messages."""
    return FieldsError([error for _, error in zip(range(MAX_ERRORS), errors, strict=False)])


def refusal(details: ErrorDetails) -> tuple[str, str]:
    """Return the path of the field at fault, such as `inputs.0.name`, and the message."""
    return ".".join(map(str, details["loc"])), details["msg"].removeprefix("Value error, ")


def unknown_fields(
    sent: Iterable[str], known: Iterable[str], what: str = "field"
) -> Iterator[tuple[str, str]]:
    """Yield the names in `sent` that are not known, each with a message."""
    names = frozenset(known)
    yield from ((n, f"is not a {what}{hint(n, sorted(names))}") for n in sent if n not in names)


def _validated(model: type[BaseModel], sent: Mapping[str, Any]) -> BaseModel:
    known = {name: sent[name] for name in model.model_fields if name in sent}
    unknown = unknown_fields(sent, model.model_fields) if len(known) < len(sent) else iter(())
    try:
        fields = model.model_validate(known)
    except ValidationError as error:
        raise refuse_fields(chain(map(refusal, error.errors()), unknown)) from error
    if len(known) < len(sent):
        raise refuse_fields(unknown)
    return fields
