"""Errors as S3 clients read them: a code and a message in XML."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from asset_ledger.api.contract.problems import INTERNAL_ERROR, problem_of
from asset_ledger.api.http.request import Request
from asset_ledger.api.s3.xml import document
from asset_ledger.ledger.errors import (
    BusyError,
    DigestMismatchError,
    MalformedBodyError,
    OutcomeUnknownError,
    PreconditionFailedError,
    RefusedError,
    TooLargeError,
    UnknownAssetError,
)

STATUSES: Final[Mapping[str, int]] = {
    "AccessDenied": 403,
    "BadDigest": 400,
    "BucketNotEmpty": 409,
    "EntityTooLarge": 400,
    "ExpiredToken": 403,
    "IncompleteBody": 400,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidDigest": 400,
    "InvalidPart": 400,
    "InvalidPartNumber": 416,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "KeyTooLongError": 400,
    "MalformedXML": 400,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
}
"""The statuses of the codes of this door's own refusals."""

_CODES: Final[Mapping[type[Exception], str]] = {
    UnknownAssetError: "NoSuchKey",
    PreconditionFailedError: "PreconditionFailed",
    TooLargeError: "EntityTooLarge",
    DigestMismatchError: "BadDigest",
    MalformedBodyError: "IncompleteBody",
    BusyError: "SlowDown",
    OutcomeUnknownError: "InternalError",  # clients try it again
}
_BY_STATUS: Final[Mapping[int, str]] = {
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NoSuchKey",
    416: "InvalidRange",
    429: "SlowDown",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class S3Error(RefusedError):
    """A refusal of the S3 door: `code` is S3's name of it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class S3TooLargeError(S3Error, TooLargeError):
    """A refusal for size, which the metrics count as `too-large`."""


def s3_refusal(request: Request, error: Exception) -> web.Response:
    """Return the answer to an error: XML. An internal one reveals only the request id."""
    resource, request_id = request.raw_path.partition("?")[0], request.id
    problem, message = problem_of(error), str(error)
    if isinstance(error, S3Error):
        code, status = error.code, STATUSES[error.code]
    else:
        code, status = _code(error, problem.status), problem.status
        if problem is INTERNAL_ERROR:
            message = f"see {request_id} in the server's log"
    members = {
        "Code": code,
        "Message": message,
        "Resource": resource,
        "RequestId": request_id,
    }
    body = document("Error", members, namespace="")
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    return web.Response(body=body, status=status, content_type="application/xml", headers=headers)


def _code(error: Exception, status: int) -> str:
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    return _BY_STATUS.get(status, "InvalidRequest")
