"""The caller of a request, its scopes, and the rules for user ids."""

from datetime import datetime
from typing import Final, Literal, NamedTuple, get_args

from asset_ledger.api.contract.errors import MissingScopeError
from asset_ledger.api.contract.headers import OWNER, decode_owner
from asset_ledger.api.contract.parameters import refuse
from asset_ledger.ledger.domain.ledger import SYSTEM

Scope = Literal["read", "write", "audit", "admin"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

LOCAL_USER: Final = "1"
"""The user of every request with AUTH=local."""

MAX_USER_ID: Final = 255


class Principal(NamedTuple):
    """The caller of a request: a user, and what the token allows."""

    user_id: str
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Raise MissingScopeError if the caller lacks a scope."""
        if scope not in self.scopes:
            raise MissingScopeError(scope)

    def owner(self, header: str | None, for_user: str | None = None) -> str:
        """Return the owner of a request's assets and jobs: the user in a header, else the one that
        the session acts for, else the caller.

        Raises ParameterError for an invalid user id, and MissingScopeError for another user than
        the caller without the scope admin.
        """
        user_id = for_user if header is None else checked_owner(decode_owner(header))
        if user_id is None:
            return self.user_id
        if user_id != self.user_id:
            self.require("admin")
        return user_id


class Credential(NamedTuple):
    """What authenticated a request: the caller, and the expiry, name and id of the token.

    `for_user`: the user that the session of an admin acts for.
    """

    principal: Principal
    expires_at: datetime | None = None
    name: str | None = None
    token_id: str | None = None
    for_user: str | None = None


ANONYMOUS: Final = Principal("", frozenset())
"""The caller of an operation without a scope: the token is not read."""
LOCAL: Final = Principal(LOCAL_USER, frozenset(SCOPES))
SERVER_ITSELF: Final = Principal(SYSTEM, frozenset(SCOPES))
"""A caller with the secret of the lock file in the server's data folder."""


def check_user_id(user_id: str) -> str:
    """Return a valid user id. Raises ValueError with a text that continues the field's name."""
    if not 1 <= len(user_id) <= MAX_USER_ID or not user_id.isprintable():
        raise ValueError(f"must be 1 to {MAX_USER_ID} printable characters")
    if user_id == SYSTEM:
        raise ValueError(f"cannot be {SYSTEM!r}: that is the server itself")
    return user_id


def checked_owner(user_id: str) -> str:
    """Return a valid user id from the owner header. Raises ParameterError."""
    try:
        return check_user_id(user_id)
    except ValueError as error:
        raise refuse(OWNER, str(error)) from error
