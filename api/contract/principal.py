"""Who is calling, and what he may do.

Promise: whoever has no scope of ours may do nothing that has one.
"""

from typing import Final, Literal, NamedTuple, get_args

from asset_ledger.api.contract.errors import MissingScopeError
from asset_ledger.api.contract.headers import OWNER, decode_owner
from asset_ledger.api.contract.parameters import refuse
from asset_ledger.ledger.domain.ledger import SYSTEM

Scope = Literal["read", "write", "audit", "admin"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

LOCAL_USER: Final = "1"
"""Whoever asks a ledger that asks for no token."""

MAX_USER_ID: Final = 255


class Principal(NamedTuple):
    """The caller of a request."""

    user_id: str
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Raises MissingScopeError for a caller without it."""
        if scope not in self.scopes:
            raise MissingScopeError(scope)

    def owner(self, named: str | None) -> str:
        """Whose assets and jobs a request is about: the caller's, or those of whom it names.

        Raises ParameterError for what can be no user id, MissingScopeError for somebody else's
        unless the caller is an admin.
        """
        if named is None:
            return self.user_id
        user_id = checked_owner(decode_owner(named))
        if user_id != self.user_id:
            self.require("admin")
        return user_id


ANONYMOUS: Final = Principal("", frozenset())
"""Whoever asks for what needs no scope: nobody looks at his token."""
LOCAL: Final = Principal(LOCAL_USER, frozenset(SCOPES))
SERVER_ITSELF: Final = Principal(SYSTEM, frozenset(SCOPES))
"""Whoever can read the lock file of a running server's data folder."""


def check_user_id(user_id: str) -> str:
    """The id of somebody who may have assets. Raises ValueError, whose text completes a name."""
    if not 1 <= len(user_id) <= MAX_USER_ID or not user_id.isprintable():
        raise ValueError(f"must be 1 to {MAX_USER_ID} printable characters")
    if user_id == SYSTEM:
        raise ValueError(f"cannot be {SYSTEM!r}, which is the server itself")
    return user_id


def checked_owner(user_id: str) -> str:
    """The id of somebody for whom an admin may ask. Raises ParameterError."""
    try:
        return check_user_id(user_id)
    except ValueError as error:
        raise refuse(OWNER, str(error)) from error
