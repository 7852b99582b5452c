"""What the API can do: each operation is one entry, and the routes are made from these entries.

A handler under `@operation(...)` becomes its entry; its docstring is what the entry says of it.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import getdoc
from types import ModuleType
from typing import Any, Final, Literal

from pydantic import BaseModel

from asset_ledger.api.contract.parameters import Parameter, Parameters, Schema
from asset_ledger.api.contract.principal import Scope
from asset_ledger.ledger.errors import LedgerError

Handler = Callable[[Any], Awaitable[Any]]
Model = type[BaseModel]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path (and on its aliases). `{name}` in a path stands for one segment."""

    method: Method
    paths: Sequence[str]
    handler: Handler
    summary: str
    answers: Model | None
    errors: Sequence[type[LedgerError]]
    scope: Scope | None
    parameters: Parameters
    projections: Sequence[str]
    takes: Mapping[str, Model | Schema]
    gives: Sequence[str]
    statuses: Sequence[int]
    headers: Sequence[str]

    @property
    def name(self) -> str:
        """What it is called in the description and in the metrics."""
        return self.handler.__name__

    @property
    def writes(self) -> bool:
        return self.method in WRITES


def operation(
    method: Method,
    path: str,
    *,
    alias: str | None = None,
    answers: Model | None = None,
    errors: Sequence[type[LedgerError]] = (),
    scope: Scope | None = None,
    parameters: Sequence[Parameter] = (),
    projections: Sequence[str] = ("tables",),
    takes: Model | Mapping[str, Model | Schema] | None = None,
    gives: Sequence[str] = (),
    statuses: Sequence[int] = (),
    headers: Sequence[str] = (),
) -> Callable[[Handler], Operation]:
    """Make an entry of a handler. `answers` is the shape of a good answer, None for bytes.

    `projections` are those that it reads: where a client names a position, they have to be there.
    For its description: `takes` is the model of its JSON body, or one for each media type;
    `gives` the media types and `statuses` the statuses of good answers, the usual one first;
    `headers` the names of request headers that it heeds.
    """

    def enter(handler: Handler) -> Operation:
        return Operation(
            method=method,
            paths=(path, alias) if alias else (path,),
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
        )

    return enter


def operations_of(*modules: ModuleType) -> Iterator[Operation]:
    """The entries of these modules, in the order in which they were written."""
    for module in modules:
        yield from (value for value in vars(module).values() if isinstance(value, Operation))
