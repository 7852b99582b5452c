"""From a method and a path to an operation. The table of operations is the table of routes.

Both slash forms of a path are one route, literal paths win over templates, and a segment is
decoded after the path was split, so that an id may hold a slash (`%2F`). A last `{name...}` stands
for all segments that are left.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

from asset_ledger.api.contract.errors import MethodNotAllowedError, UnknownRouteError
from asset_ledger.api.contract.operations import Operation
from asset_ledger.ledger.errors import ParameterError

Methods = dict[str, Operation]

_NOTHING: Final[Mapping[str, str]] = {}


class Template(NamedTuple):
    """A path with named segments; the last one of an open-ended path takes all that is left."""

    segments: Sequence[str]
    methods: Methods
    open_ended: bool

    def match(self, segments: Sequence[str]) -> Mapping[str, str] | None:
        """What the names stand for in a path; None if it does not fit."""
        if self.open_ended:
            last = len(self.segments) - 1
            segments = [*segments[:last], "/".join(segments[last:])]
        if len(segments) != len(self.segments):
            return None
        named: dict[str, str] = {}
        for mine, given in zip(self.segments, segments, strict=True):
            if mine.startswith("{") and given:
                named[mine[1:-1]] = given
            elif mine != given:
                return None
        return {name: _decoded(name, text) for name, text in named.items()}


def _decoded(name: str, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise ParameterError(f"{name} is not UTF-8", errors=[(name, "is not UTF-8")]) from error


class Routes:
    """The routes of these operations."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._literal: dict[str, Methods] = {}
        self._templates: dict[int, list[Template]] = {}
        self._open_ended: list[Template] = []
        for operation in operations:
            for path in operation.paths:
                self._methods(path)[operation.method] = operation

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        """The operation and what the path's names stand for.

        Raises UnknownRouteError, MethodNotAllowedError, and ParameterError for broken escapes.
        """
        methods, named = self._at(path)
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            raise MethodNotAllowedError(method, _allowed(methods))
        return operation, named

    def _at(self, path: str) -> tuple[Methods, Mapping[str, str]]:
        if found := self._literal.get(path):
            return found, _NOTHING
        segments = path.removesuffix("/").split("/")
        for template in (*self._templates.get(len(segments), ()), *self._open_ended):
            named = template.match(segments)
            if named is not None:
                return template.methods, named
        raise UnknownRouteError(path)

    def _methods(self, path: str) -> Methods:
        """The methods of a path, entered if it is new."""
        if "{" not in path:
            methods = self._literal.setdefault(path, {})
            return self._literal.setdefault(f"{path}/", methods)
        open_ended = path.endswith("...}")
        segments = path.replace("...}", "}").split("/")
        fixed = self._templates.setdefault(len(segments), [])
        templates = self._open_ended if open_ended else fixed
        for template in templates:
            if template.segments == segments:
                return template.methods
        templates.append(Template(segments, {}, open_ended))
        templates.sort(key=lambda template: [s.startswith("{") for s in template.segments])
        return self._methods(path)


def _allowed(methods: Methods) -> list[str]:
    return sorted({*methods, *(["HEAD"] if "GET" in methods else [])})
