"""`Listing`: records in order, for notebooks and for pandas and polars."""

from collections.abc import Iterable, Mapping
from dataclasses import Field
from datetime import datetime
from importlib import import_module
from types import UnionType
from typing import Any, Final, SupportsIndex, TypeVar, get_args, get_origin, overload

import orjson

from asset_ledger.api.sdk.errors import MissingPackageError
from asset_ledger.api.sdk.html import listing_html
from asset_ledger.api.sdk.snapshot import Values, value_fields

R = TypeVar("R", bound=Values)

FIRST: Final = 6
"""Records that a `repr` shows."""

_POLARS: Final = {int: "Int64", float: "Float64", bool: "Boolean"}
"""The polars types of fields; texts, JSON and choices are `String`."""


class Listing(list[R]):
    """Records of one `kind`, in the order of the ledger. A notebook shows it as a table."""

    def __init__(self, kind: type[R], records: Iterable[R] = ()) -> None:
        super().__init__(records)
        self.kind = kind

    def __repr__(self) -> str:
        more = [f"and {len(self) - FIRST:,} more"] if len(self) > FIRST else []
        return f"[{', '.join([*map(repr, self[:FIRST]), *more])}]"

    @overload
    def __getitem__(self, place: SupportsIndex) -> R: ...
    @overload
    def __getitem__(self, place: slice) -> "Listing[R]": ...
    def __getitem__(self, place: SupportsIndex | slice) -> "R | Listing[R]":
        if isinstance(place, slice):
            return Listing(self.kind, super().__getitem__(place))
        return super().__getitem__(place)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the fields of each record as JSON values, by their names in the API."""
        return [record.to_dict() for record in self]

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame: a row for each record, a column for each field.

        Times are in UTC; JSON objects and lists stay objects, an asset is its id.
        Raises MissingPackageError without pandas.
        """
        pandas = _package("pandas", "to_pandas")
        columns = {
            each.name: pandas.to_datetime(self._column(each), utc=True)
            if _type_of(each) is datetime
            else self._column(each)
            for each in value_fields(self.kind)
        }
        return pandas.DataFrame(columns)

    def to_polars(self) -> Any:
        """Return a polars DataFrame: a row for each record, a column for each field.

        Times are in UTC; JSON objects are JSON texts, an asset is its id.
        Raises MissingPackageError without polars.
        """
        polars = _package("polars", "to_polars")
        known = value_fields(self.kind)
        columns = {each.name: [_text(value) for value in self._column(each)] for each in known}
        schema = {each.name: _polars(polars, each) for each in known}
        return polars.DataFrame(columns, schema=schema)

    def _column(self, field: Field[Any]) -> list[Any]:
        return [_cell(getattr(record, field.name)) for record in self]

    def _repr_html_(self) -> str:
        return listing_html(self, self.kind)


def _package(name: str, method: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        command = f"pip install 'asset-ledger[{name}]'"
        raise MissingPackageError(f"{method}() needs {name}: {command}") from error


def _type_of(field: Field[Any]) -> Any:
    """Return the type of a field without None, and without the parameters of a generic type."""
    kind: Any = field.type
    if isinstance(kind, UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    return get_origin(kind) or kind


def _cell(value: Any) -> Any:
    match value:
        case Values():
            return getattr(value, "id", None)
        case tuple():
            return list(value)
        case Mapping():
            return dict(value)
    return value


def _text(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict) else value


def _polars(polars: Any, field: Field[Any]) -> Any:
    kind = _type_of(field)
    if kind is datetime:
        return polars.Datetime("us", "UTC")
    is_list = isinstance(kind, type) and issubclass(kind, Iterable) and kind is not str
    if is_list and not issubclass(kind, Mapping):
        return polars.List(polars.String)
    return getattr(polars, _POLARS.get(kind, "String"))
