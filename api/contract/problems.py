"""What HTTP says of each error, in one table, and the document (RFC 9457) that is made from it.

The client reads the same table backwards (`error_of`) and raises the same class.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from asset_ledger.api.contract.errors import (
    ForbiddenError,
    MalformedRequestError,
    MethodNotAllowedError,
    MissingScopeError,
    RangeError,
    RateLimitedError,
    StalledBodyError,
    UnauthenticatedError,
    UnknownRouteError,
    UnknownTokenError,
    UnsupportedTypeError,
)
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    BusyError,
    CursorError,
    DigestMismatchError,
    DiskFullError,
    FieldError,
    GenerationError,
    JobStateError,
    KeyReusedError,
    LedgerError,
    MalformedBodyError,
    OutcomeUnknownError,
    ParameterError,
    PreconditionFailedError,
    ProjectionBehindError,
    RefusedError,
    StorageFailedError,
    TooLargeError,
    UnavailableError,
    UnknownAssetError,
    UnknownJobError,
    UnknownTileError,
    VersionConflictError,
)

MEDIA_TYPE: Final = "application/problem+json"


class Problem(NamedTuple):
    """How one class of errors appears on the wire. `retry_after`: seconds, where waiting helps."""

    status: int
    slug: str
    title: str
    retry_after: int | None = None


PROBLEMS: Final[Mapping[type[LedgerError], Problem]] = {
    MalformedRequestError: Problem(400, "malformed-request", "This is not an HTTP request"),
    MalformedBodyError: Problem(400, "malformed-body", "The body is not what its type says"),
    ParameterError: Problem(400, "bad-parameter", "A parameter cannot be used like this"),
    CursorError: Problem(400, "bad-cursor", "The cursor does not belong to this query"),
    DigestMismatchError: Problem(400, "digest-mismatch", "These are not the announced bytes"),
    UnauthenticatedError: Problem(401, "unauthenticated", "Nobody knows who is calling"),
    ForbiddenError: Problem(403, "forbidden", "This is not allowed"),
    MissingScopeError: Problem(403, "missing-scope", "The token does not go that far"),
    UnknownRouteError: Problem(404, "unknown-route", "There is nothing at this path"),
    UnknownAssetError: Problem(404, "unknown-asset", "There is no such asset"),
    UnknownJobError: Problem(404, "unknown-job", "There is no such job"),
    UnknownTileError: Problem(404, "unknown-tile", "The log has no such tile"),
    UnknownTokenError: Problem(404, "unknown-token", "There is no such token"),
    MethodNotAllowedError: Problem(405, "method-not-allowed", "The path has other methods"),
    StalledBodyError: Problem(408, "stalled-body", "The rest of the body never came"),
    VersionConflictError: Problem(409, "version-conflict", "Somebody else changed it first"),
    JobStateError: Problem(409, "job-state", "The job is not in a state for this"),
    GenerationError: Problem(409, "no-generation", "There are no tables to go back to"),
    AssetDeletedError: Problem(410, "asset-deleted", "The asset was deleted"),
    PreconditionFailedError: Problem(412, "precondition-failed", "It is at another version"),
    TooLargeError: Problem(413, "too-large", "This is above a limit"),
    UnsupportedTypeError: Problem(415, "unsupported-type", "This type is not supported here"),
    RangeError: Problem(416, "range", "The range lies outside of the content"),
    FieldError: Problem(422, "bad-field", "A field has a value that it cannot have"),
    KeyReusedError: Problem(422, "key-reused", "The key was used for another request"),
    RateLimitedError: Problem(429, "rate-limited", "Too many requests of one user"),
    BusyError: Problem(503, "busy", "Too many writes are waiting", 1),
    OutcomeUnknownError: Problem(503, "outcome-unknown", "Recorded or not: ask again", 1),
    StorageFailedError: Problem(503, "storage-failed", "The disk refused", 5),
    ProjectionBehindError: Problem(503, "projection-behind", "The tables are not there yet", 1),
    DiskFullError: Problem(507, "disk-full", "There is no space left"),
}

INTERNAL_ERROR: Final = Problem(500, "internal-error", "Something went wrong here")
"""What is said of any other exception; the log has the rest, under the request id."""

MEMBERS: Final[Mapping[type[LedgerError], Mapping[str, str]]] = {
    UnknownAssetError: {"asset_id": "asset_id"},
    UnknownJobError: {"job_id": "job_id"},
    UnknownTokenError: {"token_id": "token_id"},
    MissingScopeError: {"scope": "scope"},
    RateLimitedError: {"limit": "limit"},
    MethodNotAllowedError: {"allowed": "allowed"},
    AssetDeletedError: {
        "asset_id": "asset_id",
        "deleted_by": "by",
        "deleted_at": "when",
        "position": "position",
    },
    PreconditionFailedError: {"asset_id": "asset_id", "version": "version"},
    RangeError: {"size": "size"},
    KeyReusedError: {"key": "key"},
}
"""What else a document tells of an error: its member, and the attribute which that is."""

_KINDS: Final = {problem.slug: kind for kind, problem in PROBLEMS.items()}


def problem_of(error: BaseException) -> Problem:
    """The row of the table for an error, or for the nearest class above it."""
    for kind in type(error).__mro__:
        if found := PROBLEMS.get(kind):
            return found
    return INTERNAL_ERROR


def problem_document(error: BaseException, request_id: str) -> dict[str, Any]:
    """The problem document of an error. An unforeseen one tells nothing but the request id."""
    status, slug, title, _ = problem = problem_of(error)
    foreseen = problem is not INTERNAL_ERROR
    return {
        "type": f"urn:asset-ledger:{slug}",
        "title": title,
        "status": status,
        "detail": _text(str(error)) if foreseen else f"the log has more under {request_id}",
        "request_id": request_id,
        "errors": _errors(error),
        **{name: _plain(getattr(error, of)) for name, of in _members(type(error)).items()},
    }


def error_of(document: Mapping[str, Any], status: int) -> LedgerError:
    """The error that a document was made of. A slug of a later release is told by its status."""
    kind = _kind(str(document.get("type")).removeprefix("urn:asset-ledger:"), status)
    error = kind.__new__(kind)  # constructors compose messages: this one is composed already
    error.args = (str(document.get("detail") or document.get("title") or f"status {status}"),)
    if isinstance(error, RefusedError):
        error.errors = tuple(_named(entry) for entry in document.get("errors") or ())
    for name, attribute in _members(kind).items():
        setattr(error, attribute, document.get(name))
    return error


def _kind(slug: str, status: int) -> type[LedgerError]:
    if slug in _KINDS:
        return _KINDS[slug]
    if status == 503:
        return UnavailableError
    return RefusedError if 400 <= status < 500 else LedgerError


def _named(entry: Mapping[str, str]) -> tuple[str, str]:
    return entry.get("field") or entry.get("parameter") or "", entry.get("message", "")


def _members(kind: type[BaseException]) -> Mapping[str, str]:
    """Those of the nearest class that has any; NoContentError is an UnknownAssetError."""
    return next((MEMBERS[above] for above in kind.__mro__ if above in MEMBERS), {})


def _errors(error: BaseException) -> list[dict[str, str]]:
    if not isinstance(error, RefusedError):
        return []
    what = "parameter" if isinstance(error, ParameterError) else "field"
    return [{what: _text(name), "message": _text(message)} for name, message in error.errors]


def _text(echo: str) -> str:
    """What a client sent may not be UTF-8, and orjson would refuse to say it back."""
    return echo.encode(errors="backslashreplace").decode()


def _plain(value: object) -> object:
    return _text(value) if isinstance(value, str) else value
