"""Errors that only the HTTP API raises. They extend the ledger's tree and have no status code.

RefusedError
├── MalformedRequestError     not HTTP: a bad request line, a bad header
├── StalledBodyError          no byte of the body arrived for too long
├── UnauthenticatedError      the request has no valid token
├── ForbiddenError            this host, or this web page, may not do that
│   └── MissingScopeError       the token lacks the scope of this operation
├── RateLimitedError          the user sent more requests than the limit allows
├── UnknownRouteError         no operation has this path
├── UnknownTokenError         there is no token with this id
├── UnknownHookError          there is no webhook with this id
├── TooManyHooksError         the ledger has as many webhooks as it may have
├── UnknownUploadError        there is no unfinished upload with this id
├── UploadOffsetError         the upload has another number of bytes
├── UploadLockedError         another request sends bytes of this upload
├── ChecksumMismatchError     other bytes arrived than the request announced
├── TusVersionError           the request is not of the supported version of tus
├── UnknownAssetError
│   └── NoContentError          the asset is a folder, or was recorded without bytes
├── MethodNotAllowedError     the path has other methods
├── UnsupportedTypeError      a body of a type that this operation does not read
├── RangeError                no byte of the content is in the range
├── TooLargeError
│   └── UploadTooLargeError     the content is above the limit of the settings
└── FieldError
    └── FieldsError             several fields have invalid values

UnavailableError
├── DrawingFailedError        the thumbnail was not drawn this time
└── KeysUnavailableError      the keys of the issuer could not be fetched

LedgerError
└── TokenKeyError             the settings have no key that verifies tokens
"""

from collections.abc import Sequence

from asset_ledger.ledger.errors import (
    FieldError,
    LedgerError,
    RefusedError,
    TooLargeError,
    UnavailableError,
    UnknownAssetError,
)


class MalformedRequestError(RefusedError):
    """The bytes are not HTTP, or a line or header is above its limit."""


class StalledBodyError(RefusedError):
    """No byte of the body arrived for too long; nothing was recorded."""


class UnauthenticatedError(RefusedError):
    """The request has no valid token. `sent`: it has one, which is refused."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class ForbiddenError(RefusedError):
    """This host, or the web page that sent the request, may not do that."""


class MissingScopeError(ForbiddenError):
    """The token lacks the `scope` that the operation needs."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this operation needs the scope {scope!r}: use a token that has it")
        self.scope = scope


class RateLimitedError(RefusedError):
    """The user sent more requests than `limit` allows; retry after `retry_after` seconds."""

    def __init__(self, limit: str, retry_after: float) -> None:
        super().__init__(f"rate_limit allows each user {limit}: wait as Retry-After says")
        self.limit, self.retry_after = limit, retry_after


class UnknownRouteError(RefusedError):
    """No operation has this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"no operation has the path {path}: /docs lists the operations")


class UnknownTokenError(RefusedError):
    """There is no token with this id."""

    def __init__(self, token_id: str) -> None:
        super().__init__(f"there is no token {token_id}: list the tokens for their ids")
        self.token_id = token_id


class UnknownHookError(RefusedError):
    """There is no webhook with this id."""

    def __init__(self, hook_id: str) -> None:
        super().__init__(f"there is no webhook {hook_id}: list the webhooks for their ids")
        self.hook_id = hook_id


class TooManyHooksError(RefusedError):
    """The ledger has as many webhooks as it may have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a ledger has at most {most} webhooks: remove one first")


class UnknownUploadError(RefusedError):
    """There is no unfinished upload with this id. Another user's upload is reported alike."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"there is no upload {upload_id}: it expired or was deleted; create one")
        self.upload_id = upload_id


class UploadOffsetError(RefusedError):
    """The upload has another number of bytes: `offset`."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the upload has {offset:,} bytes: send those that follow")
        self.offset = offset


class UploadLockedError(RefusedError):
    """Another request sends bytes of this upload; `retry_after` is in seconds."""

    retry_after = 1

    def __init__(self) -> None:
        super().__init__("another request sends bytes of this upload: wait until it ends")


class ChecksumMismatchError(RefusedError):
    """Other bytes arrived than the request announced; none of them was stored."""

    def __init__(self, algorithm: str) -> None:
        super().__init__(f"the bytes do not have the announced {algorithm}: send them again")


class TusVersionError(RefusedError):
    """The request is not of a supported version of tus."""

    def __init__(self, version: str) -> None:
        super().__init__(f"send the header Tus-Resumable: {version}")
        self.version = version


class NoContentError(UnknownAssetError):
    """The asset exists and has no bytes: it is a folder, or was recorded without a file."""

    def __init__(self, asset_id: str) -> None:
        RefusedError.__init__(self, f"asset {asset_id} has no content: no file was recorded")
        self.asset_id = asset_id


class MethodNotAllowedError(RefusedError):
    """The path has other methods: `allowed`."""

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{method} is not allowed here: use {', '.join(allowed)}")
        self.allowed = tuple(allowed)


class UnsupportedTypeError(RefusedError):
    """The body has a type that this operation does not read."""


class RangeError(RefusedError):
    """No byte of the content is in the range. `size` is the content's length in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"the content has {size:,} bytes and none is in this range: change or omit Range"
        )
        self.size = size


class UploadTooLargeError(TooLargeError):
    """The content of an upload has more bytes than the settings allow."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the content is above max_upload_bytes, which is {limit:,} bytes")


class FieldsError(FieldError):
    """Several fields have invalid values; `errors` names each."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        RefusedError.__init__(self, "; ".join(map(": ".join, errors)), errors=errors)


class DrawingFailedError(UnavailableError):
    """The drawing process was ended, or took too long: a later attempt may succeed."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(f"the thumbnail was not drawn: {reason}. Retry as Retry-After says")
        self.retry_after = retry_after


class KeysUnavailableError(UnavailableError):
    """The keys that verify tokens could not be fetched from their issuer."""


class TokenKeyError(LedgerError):
    """JWT_KEY or JWT_JWKS has no key that verifies tokens; the message says why."""
