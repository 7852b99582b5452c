"""What may be sent to delete many assets at once."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from asset_ledger.api.contract.assets import FILTERS
from asset_ledger.api.contract.errors import FieldsError
from asset_ledger.api.contract.fields import Fields, read_as
from asset_ledger.api.contract.parameters import hint
from asset_ledger.ledger.errors import FieldError


class BulkDeleteIn(BaseModel):
    """Which assets go. Ask how many they are first, and say so when they are to go."""

    model_config = ConfigDict(extra="forbid", strict=True)

    filter: Annotated[
        dict[str, str | int | list[str | int]],
        Field(description="Filters as lists have them, one value each or several."),
    ]
    dry_run: Annotated[bool, Field(description="Only count them.")] = False
    expected_count: Annotated[int | None, Field(ge=0, description="How many they have to be.")] = (
        None
    )


def read_bulk(sent: Mapping[str, Any]) -> Fields:
    """What was sent. Raises FieldError where it does not say which assets, or how many."""
    fields = read_as(BulkDeleteIn, sent)
    if not fields["dry_run"] and "expected_count" not in fields:
        raise FieldError("expected_count", "is required: ask for it with dry_run")
    return fields


def expected_of(fields: Fields) -> int:
    """How many assets are expected to go."""
    expected: Any = fields["expected_count"]
    return int(expected)


def filters_of(fields: Fields) -> dict[str, Sequence[str]]:
    """The filters as the words of a list. Raises FieldError where they would be everything."""
    given: Any = fields["filter"]
    known = [parameter.name for parameter in FILTERS]
    if unknown := [name for name in given if name not in known]:
        raise FieldsError([(f"filter.{n}", f"is no filter{hint(n, known)}") for n in unknown])
    words: dict[str, Sequence[str]] = {name: _texts(value) for name, value in given.items()}
    if not words or not all(words.values()):
        raise FieldError("filter", "must not be empty: it would be everything")
    return words


def _texts(value: str | int | list[str | int]) -> list[str]:
    return [str(each) for each in (value if isinstance(value, list) else [value])]
