"""Find the operation for a method and a path. The routes are made from the operations.

A path with and without a final slash is one route. Literal paths win over templates. Segments are
decoded after the path is split, so an id may contain a slash (`%2F`); `%7F.` and `%7F..` are the
ids `.` and `..`. A last `{name...}` matches all remaining segments.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from asset_ledger.api.contract.errors import MethodNotAllowedError, UnknownRouteError
from asset_ledger.api.contract.operations import Operation
from asset_ledger.api.contract.parameters import refuse

Methods = dict[str, Operation]

_NOTHING: Final[Mapping[str, str]] = {}
_MARKED: Final[Mapping[str, str]] = {"\x7f.": ".", "\x7f..": ".."}
"""Ids that a browser resolves in an address as steps between folders. No id has U+007F."""


class Template:
    """A path with parameters; the last of an open-ended path matches all remaining segments."""

    def __init__(self, segments: Sequence[str], *, open_ended: bool) -> None:
        self.segments, self.methods, self._open_ended = segments, Methods(), open_ended
        self._named = [(n, each[1:-1]) for n, each in enumerate(segments) if each[:1] == "{"]
        self._fixed = [(n, each) for n, each in enumerate(segments) if each[:1] != "{"]

    def match(self, segments: Sequence[str]) -> Mapping[str, str] | None:
        """Return the values of the path's parameters; None if the path does not match."""
        if self._open_ended:
            last = len(self.segments) - 1
            segments = [*segments[:last], "/".join(segments[last:])]
        if len(segments) != len(self.segments):
            return None
        for number, text in self._fixed:
            if segments[number] != text:
                return None
        for number, _ in self._named:
            if not segments[number]:
                return None
        return {name: _decoded(name, segments[number]) for number, name in self._named}


def _decoded(name: str, text: str) -> str:
    if "%" not in text:  # as in most paths: skip the parsing
        return text
    try:
        value = unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise refuse(name, "is not UTF-8") from error
    return _MARKED.get(value, value)


class Routes:
    """The routing table of some operations."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._literal: dict[str, Methods] = {}
        self._templates: dict[int, list[Template]] = {}
        self._open_ended: list[Template] = []
        for operation in operations:
            for path in operation.paths:
                self._methods(path)[operation.method] = operation

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        """Return the operation and the values of the path's parameters.

        Raises UnknownRouteError, MethodNotAllowedError, and ParameterError for broken escapes.
        """
        methods, values = self._at(path)
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            raise MethodNotAllowedError(method, _allowed(methods))
        return operation, values

    def _at(self, path: str) -> tuple[Methods, Mapping[str, str]]:
        if found := self._literal.get(path):
            return found, _NOTHING
        segments = path.removesuffix("/").split("/")
        for template in (*self._templates.get(len(segments), ()), *self._open_ended):
            values = template.match(segments)
            if values is not None:
                return template.methods, values
        raise UnknownRouteError(path)

    def _methods(self, path: str) -> Methods:
        """Return the methods of a path; add the path if it is new."""
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
        templates.append(Template(segments, open_ended=open_ended))
        templates.sort(key=lambda template: [s.startswith("{") for s in template.segments])
        return self._methods(path)


def _allowed(methods: Methods) -> list[str]:
    return sorted({*methods, *(["HEAD"] if "GET" in methods else [])})
