"""The body of a bulk deletion."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from asset_ledger.api.contract.assets import FILTERS
from asset_ledger.api.contract.fields import (
    Fields,
    StrictModel,
    read_as,
    refuse_fields,
    unknown_fields,
)
from asset_ledger.ledger.errors import FieldError


class BulkDeleteIn(StrictModel):
    """Which assets to delete. First count them with `dry_run`, then send that `expected_count`."""

    filter: Annotated[
        dict[str, str | int | Annotated[list[str | int], Field(fail_fast=True)]],
        Field(description="The filters of a list, each with one value or several."),
    ]
    dry_run: Annotated[bool, Field(description="Count, and delete nothing.")] = False
    expected_count: Annotated[int | None, Field(ge=0, description="How many must match.")] = None


def read_bulk(sent: Mapping[str, Any]) -> Fields:
    """Return the checked fields. Raises FieldError for a malformed filter or a missing count."""
    _check_names(sent.get("filter"))
    fields = read_as(BulkDeleteIn, sent)
    if not fields["dry_run"] and "expected_count" not in fields:
        raise FieldError("expected_count", "is required: send dry_run first to get it")
    return fields


def filters_of(fields: Fields) -> dict[str, Sequence[str]]:
    """Return the filters as a list reads them. Raises FieldError for an empty one."""
    given: Any = fields["filter"]
    filters: dict[str, Sequence[str]] = {name: _texts(value) for name, value in given.items()}
    if not filters or not all(filters.values()):
        raise FieldError("filter", "is empty and would match every asset: name a filter")
    return filters


def _check_names(sent: object) -> None:
    """Raise FieldsError for unknown filters, before the value of each is checked."""
    known = {parameter.name for parameter in FILTERS}
    if isinstance(sent, Mapping) and not known.issuperset(sent):
        errors = unknown_fields(sent, known, "filter")
        raise refuse_fields((f"filter.{name}", message) for name, message in errors)


def _texts(value: str | int | list[str | int]) -> list[str]:
    return [str(each) for each in (value if isinstance(value, list) else [value])]
