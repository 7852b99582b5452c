"""The refusals that only HTTP knows. They belong to the ledger's tree, and know no status either.

RefusedError
├── MalformedRequestError     not HTTP: a bad request line, a bad header
├── StalledBodyError          the rest of the body never came
├── UnauthenticatedError      nobody knows who is calling
├── ForbiddenError            this caller, or this web page, may not do that
│   └── MissingScopeError       the caller's token does not go that far
├── RateLimitedError          the caller asks more often than he may
├── UnknownRouteError         no operation has this path
├── UnknownTokenError         there is no token with this id
├── UnknownAssetError
│   └── NoContentError          the asset is a folder, or was recorded without bytes
├── MethodNotAllowedError     the path has other methods
├── UnsupportedTypeError      a body of a type that this operation does not read
├── RangeError                no byte of the content is in the range
├── TooLargeError
│   └── UploadTooLargeError     the content is above the limit of the settings
└── FieldError
    └── FieldsError             several fields at once

LedgerError
└── TokenKeyError             no token can be verified with the keys of the settings
"""

from collections.abc import Sequence

from asset_ledger.ledger.errors import (
    FieldError,
    LedgerError,
    RefusedError,
    TooLargeError,
    UnknownAssetError,
)


class MalformedRequestError(RefusedError):
    """What arrived is not HTTP, or has a line or a header above the limit."""


class StalledBodyError(RefusedError):
    """No byte of the body came for too long; nothing was recorded."""


class UnauthenticatedError(RefusedError):
    """Nobody knows who is calling. `sent`: there was a token, and it is not valid."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class ForbiddenError(RefusedError):
    """This caller, or the web page that sent this, may not do that."""


class MissingScopeError(ForbiddenError):
    """The caller is known, and what he asks for needs a `scope` that he does not have."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs the scope {scope!r}")
        self.scope = scope


class RateLimitedError(RefusedError):
    """The caller asks more often than `limit` allows; in `retry_after` seconds he may again."""

    def __init__(self, limit: str, retry_after: float) -> None:
        super().__init__(f"RATE_LIMIT allows each user {limit}; ask again later")
        self.limit, self.retry_after = limit, retry_after


class UnknownRouteError(RefusedError):
    """No operation has this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is nothing at {path}")


class UnknownTokenError(RefusedError):
    """There is no token with this id."""

    def __init__(self, token_id: str) -> None:
        super().__init__(f"no token {token_id}")
        self.token_id = token_id


class NoContentError(UnknownAssetError):
    """The asset is there, and has no bytes: a folder, or one recorded without a file."""

    def __init__(self, asset_id: str) -> None:
        RefusedError.__init__(self, f"asset {asset_id} has no content")
        self.asset_id = asset_id


class MethodNotAllowedError(RefusedError):
    """The path exists, with other methods: `allowed`."""

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{method} is not one of {', '.join(allowed)}")
        self.allowed = tuple(allowed)


class UnsupportedTypeError(RefusedError):
    """The body has a type that this operation does not read."""


class RangeError(RefusedError):
    """No byte of the content, which has `size` of them, is in the range."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the content has {size:,} bytes, and none of them is in this range")
        self.size = size


class UploadTooLargeError(TooLargeError):
    """The content of an upload has more bytes than the settings allow."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"MAX_UPLOAD_BYTES allows {limit:,} bytes of content")


class FieldsError(FieldError):
    """Several fields have values that they cannot have; `errors` names each."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        RefusedError.__init__(self, "; ".join(map(": ".join, errors)), errors=errors)


class TokenKeyError(LedgerError):
    """JWT_KEY or JWT_JWKS holds no key that tokens can be verified with."""
