"""The fields of a JSON body, held against the model that says which there are.

Promise: every field that is at fault is named, not only the first.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from asset_ledger.api.contract.errors import FieldsError
from asset_ledger.api.contract.parameters import hint
from asset_ledger.ledger.domain.event import Json

Fields = dict[str, Json]
"""The fields that were sent, by their names on the wire: not null, but in a patch."""


def read_as(model: type[BaseModel], sent: Mapping[str, Any]) -> Fields:
    """What was given, each with the type it has to have. Raises FieldsError, which names all."""
    fields = _validated(model, sent)
    return {name: value for name, value in vars(fields).items() if value is not None}


def read_patch(model: type[BaseModel], sent: Mapping[str, Any]) -> Fields:
    """What was sent, nulls among it. Raises FieldsError, which names all."""
    fields = _validated(model, sent)
    return {name: value for name, value in vars(fields).items() if name in fields.model_fields_set}


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
