"""The operations of the API as a table, from which the routes and the description are made.

`@operation(...)` turns a handler into an entry of the table; its docstring becomes the summary.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import getdoc
from types import ModuleType
from typing import Any, Final, Literal

from pydantic import BaseModel

from asset_ledger.api.contract.parameters import Parameter, Parameters, Schema
from asset_ledger.api.contract.principal import Scope
from asset_ledger.api.contract.strict_json import MAX_JSON
from asset_ledger.ledger.errors import LedgerError

Handler = Callable[[Any], Awaitable[Any]]
Model = type[BaseModel]
NeededScope = Scope | Literal["any"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
URLENCODED: Final = "application/x-www-form-urlencoded"

ANY: Final = "any"
"""The scope of an operation for every authenticated caller."""

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path and its aliases. `{name}` in a path matches one segment."""

    method: Method
    paths: Sequence[str]
    handler: Handler
    summary: str
    answers: Model | None
    errors: Sequence[type[LedgerError]]
    scope: NeededScope | None
    parameters: Parameters
    projections: Sequence[str]
    takes: Mapping[str, Model | Schema]
    gives: Sequence[str]
    statuses: Sequence[int]
    headers: Sequence[str]
    max_json: int
    any_query: bool = False
    may_be_kept: bool = False

    @property
    def name(self) -> str:
        """The name of the operation in the description and the metrics."""
        return self.handler.__name__

    @property
    def writes(self) -> bool:
        return self.method in WRITES


def operation(
    method: Method,
    path: str,
    *,
    aliases: Sequence[str] = (),
    answers: Model | None = None,
    errors: Sequence[type[LedgerError]] = (),
    scope: NeededScope | None = None,
    parameters: Sequence[Parameter] = (),
    projections: Sequence[str] = ("tables",),
    takes: Model | Mapping[str, Model | Schema] | None = None,
    gives: Sequence[str] = (),
    statuses: Sequence[int] = (),
    headers: Sequence[str] = (),
    max_json: int = MAX_JSON,
    any_query: bool = False,
    may_be_kept: bool = False,
) -> Callable[[Handler], Operation]:
    """Turn a handler into an entry. `answers` is the model of a successful response; None: bytes.

    `projections` are those that the handler reads: they must reach the request's `min_position`.
    `max_json` is the limit of the JSON body in bytes.
    For the description only: `takes` is the model of the JSON body, or one for each media type;
    `gives` are the media types and `statuses` the statuses of successful responses, the usual one
    first; `headers` are the request headers that have an effect. `any_query`: the query is for the
    page that is returned, so that unknown parameters are not refused. `may_be_kept`: the handler
    keeps answers that depend on the tables of assets alone (`api/http/kept.py`).
    """

    def enter(handler: Handler) -> Operation:
        return Operation(
            method=method,
            paths=(path, *aliases),
            handler=handler,
            summary=getdoc(handler) or "",
            answers=answers,
            errors=tuple(errors),
            scope=scope,
            parameters=Parameters(*parameters),
            projections=tuple(projections),
            takes=takes if isinstance(takes, Mapping) else {JSON: takes} if takes else {},
            gives=tuple(gives) or ((JSON,) if answers else (BYTES,)),
            statuses=tuple(statuses) or ((200, 202) if scope == "write" else (200,)),
            headers=tuple(headers),
            max_json=max_json,
            any_query=any_query,
            may_be_kept=may_be_kept,
        )

    return enter


def operations_of(*modules: ModuleType) -> Iterator[Operation]:
    """Yield the entries of these modules, in the order of their definition."""
    for module in modules:
        yield from (value for value in vars(module).values() if isinstance(value, Operation))
