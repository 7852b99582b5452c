"""The table of errors and their statuses, slugs and titles; problem documents (RFC 9457).

The client looks up the class by slug (`error_of`) and raises the same error.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from asset_ledger.api.contract.errors import (
    ChecksumMismatchError,
    DrawingFailedError,
    ForbiddenError,
    KeysUnavailableError,
    MalformedRequestError,
    MethodNotAllowedError,
    MissingScopeError,
    RangeError,
    RateLimitedError,
    StalledBodyError,
    TooManyHooksError,
    TusVersionError,
    UnauthenticatedError,
    UnknownHookError,
    UnknownRouteError,
    UnknownTokenError,
    UnknownUploadError,
    UnsupportedTypeError,
    UploadLockedError,
    UploadOffsetError,
)
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    BusyError,
    ContentCollectedError,
    ContentDamagedError,
    CursorError,
    DeadlineExceededError,
    DigestMismatchError,
    DiskFullError,
    FieldError,
    GenerationError,
    JobStateError,
    KeyReusedError,
    LedgerError,
    MalformedBodyError,
    NotRestorableError,
    OutcomeUnknownError,
    ParameterError,
    PreconditionFailedError,
    ProjectionBehindError,
    RefusedError,
    StorageFailedError,
    StoreUnavailableError,
    TablesDamagedError,
    TooLargeError,
    UnavailableError,
    UnknownAssetError,
    UnknownJobError,
    UnknownTileError,
    VersionConflictError,
)

MEDIA_TYPE: Final = "application/problem+json"


class Problem(NamedTuple):
    """How a class of errors is sent. `retry_after`: seconds, if a retry can succeed."""

    status: int
    slug: str
    title: str
    retry_after: int | None = None


PROBLEMS: Final[Mapping[type[LedgerError], Problem]] = {
    MalformedRequestError: Problem(400, "malformed-request", "The request is not valid HTTP"),
    MalformedBodyError: Problem(400, "malformed-body", "The body is malformed"),
    ParameterError: Problem(400, "bad-parameter", "A parameter is not valid"),
    CursorError: Problem(400, "bad-cursor", "The cursor does not belong to this query"),
    DigestMismatchError: Problem(400, "digest-mismatch", "The bytes do not match their digest"),
    UnauthenticatedError: Problem(401, "unauthenticated", "The request has no valid token"),
    ForbiddenError: Problem(403, "forbidden", "This host or web page may not do that"),
    MissingScopeError: Problem(403, "missing-scope", "The token lacks the scope that this needs"),
    UnknownRouteError: Problem(404, "unknown-route", "No operation has this path"),
    UnknownAssetError: Problem(404, "unknown-asset", "There is no such asset"),
    UnknownJobError: Problem(404, "unknown-job", "There is no such job"),
    UnknownTileError: Problem(404, "unknown-tile", "The log has no such tile"),
    UnknownTokenError: Problem(404, "unknown-token", "There is no such token"),
    UnknownHookError: Problem(404, "unknown-hook", "There is no such webhook"),
    UnknownUploadError: Problem(404, "unknown-upload", "There is no such unfinished upload"),
    MethodNotAllowedError: Problem(405, "method-not-allowed", "The path does not have this method"),
    StalledBodyError: Problem(408, "stalled-body", "The rest of the body did not arrive"),
    VersionConflictError: Problem(409, "version-conflict", "It changed since you read it"),
    JobStateError: Problem(409, "job-state", "The state of the job does not allow this"),
    TooManyHooksError: Problem(409, "too-many-hooks", "There are too many webhooks"),
    GenerationError: Problem(409, "no-generation", "No rollback is possible now"),
    UploadOffsetError: Problem(409, "upload-offset", "The upload has another offset"),
    NotRestorableError: Problem(409, "not-restorable", "The bytes of the asset were collected"),
    AssetDeletedError: Problem(410, "asset-deleted", "The asset was deleted"),
    ContentCollectedError: Problem(410, "content-collected", "The bytes were collected"),
    PreconditionFailedError: Problem(412, "precondition-failed", "The asset is at another version"),
    TusVersionError: Problem(412, "tus-version", "The request is not of tus 1.0.0"),
    TooLargeError: Problem(413, "too-large", "The request is above a limit"),
    UnsupportedTypeError: Problem(415, "unsupported-type", "This type is not supported here"),
    RangeError: Problem(416, "range", "The range is outside the content"),
    FieldError: Problem(422, "bad-field", "A field is not valid"),
    KeyReusedError: Problem(422, "key-reused", "The Idempotency-Key was used for another request"),
    UploadLockedError: Problem(423, "upload-locked", "Another request sends bytes of the upload"),
    RateLimitedError: Problem(429, "rate-limited", "The user sent too many requests"),
    ChecksumMismatchError: Problem(460, "checksum-mismatch", "The checksum does not match"),
    BusyError: Problem(503, "busy", "Too many requests are waiting", 1),
    DeadlineExceededError: Problem(503, "deadline-exceeded", "The read took too long"),
    OutcomeUnknownError: Problem(503, "outcome-unknown", "Unknown whether it was recorded", 1),
    DrawingFailedError: Problem(503, "drawing-failed", "The thumbnail was not drawn", 60),
    KeysUnavailableError: Problem(503, "keys-unavailable", "The issuer's keys are missing", 15),
    ContentDamagedError: Problem(503, "content-damaged", "The bytes of this content are damaged"),
    TablesDamagedError: Problem(503, "tables-damaged", "The tables are damaged: rebuild them"),
    StorageFailedError: Problem(503, "storage-failed", "The storage failed", 5),
    StoreUnavailableError: Problem(503, "store-unavailable", "The store of contents failed", 5),
    ProjectionBehindError: Problem(503, "projection-behind", "The tables are behind the log", 1),
    DiskFullError: Problem(507, "disk-full", "The disk is full"),
}

INTERNAL_ERROR: Final = Problem(500, "internal-error", "The server has a defect")
"""The row for every other exception; the server's log has the details."""

MEMBERS: Final[Mapping[type[LedgerError], Mapping[str, str]]] = {
    UnknownAssetError: {"asset_id": "asset_id"},
    UnknownJobError: {"job_id": "job_id"},
    UnknownTokenError: {"token_id": "token_id"},
    UnknownHookError: {"hook_id": "hook_id"},
    UnknownUploadError: {"upload_id": "upload_id"},
    UploadOffsetError: {"offset": "offset"},
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
    ContentDamagedError: {"digest": "digest"},
    ContentCollectedError: {"digest": "digest", "collected_at": "when"},
    NotRestorableError: {"asset_id": "asset_id", "collected_at": "when"},
}
"""Further members of a document, and the attributes of the error that they are."""

_KINDS: Final = {problem.slug: kind for kind, problem in PROBLEMS.items()}
_BY_STATUS: Final = {413: TooLargeError, 503: UnavailableError}
"""What a proxy answers, too."""


def problem_of(error: BaseException | type[BaseException]) -> Problem:
    """Return the row of an error's class, or of its nearest base class in the table."""
    for kind in (error if isinstance(error, type) else type(error)).__mro__:
        if found := PROBLEMS.get(kind):
            return found
    return INTERNAL_ERROR


def problem_document(error: BaseException, request_id: str) -> dict[str, Any]:
    """Return the problem document of an error. An internal one reveals only the request id."""
    status, slug, title, _ = problem = problem_of(error)
    internal = problem is INTERNAL_ERROR
    return {
        "type": f"urn:asset-ledger:{slug}",
        "title": title,
        "status": status,
        "detail": f"see {request_id} in the server's log" if internal else _text(str(error)),
        "request_id": request_id,
        "errors": _errors(error),
        **{name: _plain(getattr(error, of)) for name, of in _members(type(error)).items()},
    }


def error_of(document: Mapping[str, Any], status: int) -> LedgerError:
    """Return the error in a document. The status decides the class of an unknown slug."""
    kind = _kind(str(document.get("type")).removeprefix("urn:asset-ledger:"), status)
    error = kind.__new__(kind)  # the constructor would compose another message
    error.args = (str(document.get("detail") or document.get("title") or f"status {status}"),)
    if isinstance(error, RefusedError):
        error.errors = tuple(_field_error(entry) for entry in document.get("errors") or ())
    for name, attribute in _members(kind).items():
        setattr(error, attribute, document.get(name))
    return error


def _kind(slug: str, status: int) -> type[LedgerError]:
    if slug in _KINDS:
        return _KINDS[slug]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return RefusedError if 400 <= status < 500 else LedgerError


def _field_error(entry: Mapping[str, str]) -> tuple[str, str]:
    return entry.get("field") or entry.get("parameter") or "", entry.get("message", "")


def _members(kind: type[BaseException]) -> Mapping[str, str]:
    """Return the members of the nearest class with any; NoContentError is an UnknownAssetError."""
    return next((MEMBERS[above] for above in kind.__mro__ if above in MEMBERS), {})


def _errors(error: BaseException) -> list[dict[str, str]]:
    if not isinstance(error, RefusedError):
        return []
    what = "parameter" if isinstance(error, ParameterError) else "field"
    return [{what: _text(name), "message": _text(message)} for name, message in error.errors]


def _text(text: str) -> str:
    """Escape what is not UTF-8 in quoted input: orjson would refuse it."""
    return text.encode(errors="backslashreplace").decode()


def _plain(value: object) -> object:
    return _text(value) if isinstance(value, str) else value
