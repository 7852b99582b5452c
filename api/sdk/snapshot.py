"""What the records of a ledger have in common: they can be copied, pickled and made plain.

Promise: an unpickled record has its values, and uses the ledger that is connected where it is used.
"""

from copy import deepcopy
from dataclasses import Field, fields, replace
from datetime import datetime
from typing import Any, ClassVar, Self

import orjson

from asset_ledger.api.sdk.connection import current_gateway
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.ledger.domain.event import iso


class Values:
    """A dataclass whose fields are values, except for `gateway`, if it has one.

    `COLUMNS` are the fields that a table in a notebook has; all if it is empty.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, by their names in the API."""
        return {name: _plain(value) for name, value in values_of(self).items()}


class Snapshot(Values):
    """A dataclass with the field `gateway`, which is no value of it."""

    gateway: Gateway

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied: Self = replace(self, **deepcopy(values_of(self), memo))  # type: ignore[type-var]
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), values_of(self))


def value_fields(kind: Any) -> list[Field[Any]]:
    """Return the fields of a class of values."""
    return [each for each in fields(kind) if each.name != "gateway"]


def values_of(record: Values) -> dict[str, Any]:
    """Return the values of a record by their names."""
    return {each.name: getattr(record, each.name) for each in value_fields(record)}


class _Connected:
    """The gateway that is connected where a method is called. Raises NotConnectedError."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(current_gateway(), name)


def _unpickled(kind: Any, values: dict[str, Any]) -> Any:
    return kind(**values, gateway=_Connected())


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return iso(value)
        case Values():
            return value.to_dict()
        case list() | tuple():
            return [_plain(each) for each in value]
    return orjson.loads(orjson.dumps(value, default=dict))
