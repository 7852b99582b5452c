"""What the records of a ledger have in common: they can be copied, pickled and made plain.

Promise: an unpickled record has its values, and uses the ledger that is connected where it is used.
"""

from copy import deepcopy
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Self

import orjson

from asset_ledger.api.sdk.connection import current_gateway
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.ledger.domain.event import iso


class Snapshot:
    """A dataclass with the field `gateway`, which is no value of it."""

    gateway: Gateway

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, by their names in the API."""
        return {name: _plain(value) for name, value in self._values().items()}

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied: Self = replace(self, **deepcopy(self._values(), memo))  # type: ignore[type-var]
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self._values())

    def _values(self) -> dict[str, Any]:
        names = (each.name for each in fields(self))  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in names if name != "gateway"}


class _Connected:
    """The gateway that is connected where a method is called. Raises NotConnectedError."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(current_gateway(), name)


def _unpickled(kind: Any, values: dict[str, Any]) -> Any:
    return kind(**values, gateway=_Connected())


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    return orjson.loads(orjson.dumps(value, default=dict))
