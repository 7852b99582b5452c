"""Generate the OpenAPI 3.1 document from the operations that also make the routes.

Promise: it contains exactly the operations, parameters, fields and errors of those tables.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from asset_ledger.api.contract.errors import (
    ForbiddenError,
    MalformedRequestError,
    MissingScopeError,
    RateLimitedError,
    StalledBodyError,
    UnauthenticatedError,
    UnsupportedTypeError,
)
from asset_ledger.api.contract.examples import EXAMPLE_DIGEST, EXAMPLE_ID, EXAMPLES
from asset_ledger.api.contract.headers import OWNER, REQUEST_HEADERS, RESPONSE_HEADERS
from asset_ledger.api.contract.operations import ANY, JSON, Model, Operation
from asset_ledger.api.contract.parameters import CURSOR, MIN_POSITION, Parameter, Schema
from asset_ledger.api.contract.problems import MEDIA_TYPE, PROBLEMS, Problem, problem_of
from asset_ledger.api.contract.shapes import ProblemOut
from asset_ledger.ledger.errors import (
    BusyError,
    CursorError,
    DiskFullError,
    FieldError,
    KeyReusedError,
    LedgerError,
    MalformedBodyError,
    OutcomeUnknownError,
    ParameterError,
    ProjectionBehindError,
    StorageFailedError,
    TooLargeError,
)

Document = dict[str, Any]
Errors = Sequence[type[LedgerError]]

_COMMON_ERRORS: Final[Errors] = (MalformedRequestError, ParameterError, ForbiddenError)
_SCOPE_ERRORS: Final[Errors] = (UnauthenticatedError, MissingScopeError, RateLimitedError)
_BODY_ERRORS: Final[Errors] = (
    MalformedBodyError,
    UnsupportedTypeError,
    StalledBodyError,
    TooLargeError,
    FieldError,
)
_WRITE_ERRORS: Final[Errors] = (
    KeyReusedError,
    BusyError,
    OutcomeUnknownError,
    StorageFailedError,
    DiskFullError,
)
PATH_PARAMETERS: Final[Mapping[str, tuple[str, str]]] = {
    "id": ("The asset's id.", EXAMPLE_ID),
    "folder_id": ("The folder's id.", EXAMPLE_ID),
    "job_id": ("The job's id.", "job_456"),
    "a": ("The first job's id.", "job_456"),
    "b": ("The second job's id.", "job_457"),
    "name": ("A file's name.", "output.txt"),
    "key": ("NodeTool's key of the bytes.", f"{EXAMPLE_ID}.txt"),
    "tile": ("Level and index of a tile, as in C2SP tlog-tiles.", "0/000.p/1"),
    "index": ("Index of a tile of entries.", "000.p/1"),
    "file": ("A file of the page.", "docs.css"),
    "digest": ("The digest of the console's files.", "0123456789abcdef"),
    "node_id": ("The node's id.", "node_123"),
    "workflow_id": ("The workflow's id.", "workflow_789"),
    "content": ("The content's digest.", EXAMPLE_DIGEST),
    "upload_id": ("The upload's id.", EXAMPLE_ID),
    "hook_id": ("The webhook's id.", "4f6c1b2a9d3e"),
    "token_id": ("The token's id.", "4f6c1b2a9d3e"),
}
"""The parameters in paths: a description and an example of each."""

_BINARY: Final[Schema] = {"format": "binary"}
_REF: Final = "#/components/schemas/{model}"
_NAME: Final = re.compile(r"\{(\w+)(?:\.\.\.)?\}")


def openapi(operations: Sequence[Operation], *, version: str, authenticated: bool) -> Document:
    """Return the document of these operations. `authenticated`: requests need a token."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Asset Ledger",
            "version": version,
            "summary": "Records every file that a workflow produces, as immutable events.",
            "description": _GENERAL,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(operations, authenticated),
        "components": {
            "schemas": _schemas(operations),
            "examples": {p.slug: {"value": _example(p)} for p in PROBLEMS.values()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


_GENERAL: Final = (
    "Every path also works with a slash at its end, and every GET operation accepts HEAD. Unknown"
    " query parameters are refused. Every error is a problem document (RFC 9457)."
)


def _paths(operations: Iterable[Operation], authenticated: bool) -> Document:
    paths: defaultdict[str, Document] = defaultdict(dict)
    for entry in operations:
        for number, path in enumerate(entry.paths):
            described = _operation(entry, path, authenticated)
            if number:
                described["operationId"] += f"_{number + 1}"
            paths[_NAME.sub(r"{\1}", path)][entry.method.lower()] = described
    return dict(paths)


def _operation(entry: Operation, path: str, authenticated: bool) -> Document:
    good = {str(status): _answer(entry, status) for status in entry.statuses}
    described: Document = {
        "operationId": entry.name,
        "summary": entry.summary.partition("\n")[0],
        "tags": [_tag(path)],
        "parameters": [*_path_names(path), *_query(entry), *_headers(entry)],
        "responses": {**good, **_bad(entry)},
        "security": _security(entry, authenticated),
    }
    if entry.takes:
        content = {kind: _taken(taken) for kind, taken in entry.takes.items()}
        described["requestBody"] = {"content": content, "required": False, **_limit(entry)}
    return described


def _limit(entry: Operation) -> Document:
    """Return the limit of a JSON body: for readers, and for programs."""
    if not any(kind.endswith(("/json", "+json")) for kind in entry.takes):
        return {}
    about = f"JSON of at most {entry.max_json:,} bytes."
    return {"description": about, "x-max-json-bytes": entry.max_json}


def _tag(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "api" else "server"


def _security(entry: Operation, authenticated: bool) -> list[Document]:
    if entry.scope is None:
        return []
    shown: Document = {"bearer": [] if entry.scope == ANY else [entry.scope]}
    return [shown] if authenticated else [{}, shown]


def _path_names(path: str) -> Iterator[Document]:
    for name in _NAME.findall(path):
        about, example = PATH_PARAMETERS[name]
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": about,
            "schema": {"type": "string", "minLength": 1},
            "example": example,
        }


def _query(entry: Operation) -> Iterator[Document]:
    for parameter in (each for each in entry.parameters.all if each.described):
        for name in filter(None, (parameter.name, parameter.alias)):
            yield _queried(parameter, name)


def _queried(parameter: Parameter, name: str) -> Document:
    schema = parameter.schema
    if name == parameter.alias:
        schema = {key: value for key, value in schema.items() if key != "default"}
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": parameter.about if name == parameter.name else f"`{parameter.name}`.",
        "schema": schema,
    }


def _headers(entry: Operation) -> Iterator[Document]:
    owned = (OWNER,) if entry.scope is not None else ()
    retried = ("Idempotency-Key",) if entry.scope == "write" else ()
    for name in (*owned, *retried, *entry.headers):
        about, schema = REQUEST_HEADERS[name]
        yield {"name": name, "in": "header", "description": about, "schema": schema}


def _taken(taken: Model | Schema) -> Document:
    if isinstance(taken, Mapping):
        return {"schema": taken}
    return _json(taken)


def _json(model: Model) -> Document:
    examples = {"example": EXAMPLES[model]} if model in EXAMPLES else {}
    return {"schema": {"$ref": _REF.format(model=model.__name__)}, **examples}


def _answer(entry: Operation, status: int) -> Document:
    answer: Document = {"description": HTTPStatus(status).phrase, "headers": _answered(entry)}
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return answer
    return {**answer, "content": {kind: _given(entry, kind) for kind in entry.gives}}


def _given(entry: Operation, kind: str) -> Document:
    if kind == JSON:
        return _json(entry.answers) if entry.answers else {"schema": {"type": "object"}}
    return {"schema": {"type": "string", **({} if kind.startswith("text/") else _BINARY)}}


def _answered(entry: Operation) -> Document:
    names = ["X-Request-Id"]
    if entry.answers is not None and entry.scope in ("read", "write"):
        names.append("Ledger-Position")
    known = {name: RESPONSE_HEADERS[name] for name in names}
    return {name: {"description": about, "schema": s} for name, (about, s) in known.items()}


def _bad(entry: Operation) -> Document:
    by_status: defaultdict[int, list[Problem]] = defaultdict(list)
    for problem in dict.fromkeys(map(problem_of, errors_of(entry))):
        by_status[problem.status].append(problem)
    return {str(status): _refusal(problems) for status, problems in sorted(by_status.items())}


def errors_of(entry: Operation) -> Iterator[type[LedgerError]]:
    """Yield the errors of an operation: those of every such operation, and its declared ones."""
    yield from _COMMON_ERRORS
    if entry.scope is not None:
        yield from _SCOPE_ERRORS
    if entry.takes:
        yield from _BODY_ERRORS
    if entry.scope == "write":
        yield from _WRITE_ERRORS
    if CURSOR in entry.parameters.all:
        yield CursorError
    if MIN_POSITION in entry.parameters.all:
        yield ProjectionBehindError
    yield from entry.errors


def _refusal(problems: Sequence[Problem]) -> Document:
    content = {
        "schema": {"$ref": _REF.format(model=ProblemOut.__name__)},
        "examples": {p.slug: {"$ref": f"#/components/examples/{p.slug}"} for p in problems},
    }
    return {
        "description": "; ".join(f"`{problem.slug}`: {problem.title}" for problem in problems),
        "content": {MEDIA_TYPE: content},
    }


def _example(problem: Problem) -> Document:
    return {
        "type": f"urn:asset-ledger:{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.title,
        "request_id": "4bf92f3577b34da6",
        "errors": [],
    }


def _schemas(operations: Iterable[Operation]) -> Document:
    models: dict[Model, None] = {ProblemOut: None}
    for entry in operations:
        taken = (model for model in entry.takes.values() if isinstance(model, type))
        models |= dict.fromkeys([*taken, *([entry.answers] if entry.answers else [])])
    _, document = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    return dict(sorted(document["$defs"].items()))
