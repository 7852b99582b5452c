"""The request and response models of tokens. Only the response to a new token has its text."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field

from asset_ledger.api.contract.fields import Fields, StrictModel, parse_field
from asset_ledger.api.contract.principal import Scope, check_user_id
from asset_ledger.api.contract.shapes import AnswerModel, Time
from asset_ledger.ledger.domain.event import parse_time
from asset_ledger.ledger.errors import FieldError

DEFAULT_SCOPES: Final[tuple[Scope, ...]] = ("read", "write")
MAX_NAME: Final = 200


class NewToken(NamedTuple):
    """A token to create for this user."""

    user_id: str
    scopes: Sequence[Scope] = DEFAULT_SCOPES
    name: str = ""
    expires_at: datetime | None = None


class TokenIn(StrictModel):
    """A new token. null means absent."""

    user_id: Annotated[str, Field(description="The user that it authenticates.")]
    scopes: Annotated[
        Annotated[list[Scope], Field(fail_fast=True)] | None,
        Field(description="What it allows; `read` and `write` if absent.", min_length=1),
    ] = None
    name: Annotated[str | None, Field(description="What it is for.", max_length=MAX_NAME)] = None
    expires_at: Annotated[str | None, Field(description="RFC 3339; if absent, never.")] = None


class TokenOut(AnswerModel):
    """A token, without its text."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    user_id: str
    scopes: list[Scope]
    name: str
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class NewTokenOut(TokenOut):
    """A token that was just created. `token` is its text, which cannot be shown again."""

    token: Annotated[str, Field(pattern=r"^alt_[0-9a-f]{12}_[\w-]{43}$")]


class TokenList(AnswerModel):
    """Every token ever created, oldest first."""

    tokens: list[TokenOut]


def new_token(fields: Fields, now: datetime) -> NewToken:
    """Return the token to create from checked fields. Raises FieldError."""
    given: Mapping[str, Any] = fields
    user_id = parse_field("user_id", check_user_id, given["user_id"])
    scopes = tuple(dict.fromkeys(given.get("scopes") or DEFAULT_SCOPES))
    expires_at = _moment(given["expires_at"], now) if "expires_at" in given else None
    return NewToken(user_id, scopes, given.get("name", ""), expires_at)


def _moment(text: str, now: datetime) -> datetime:
    moment = parse_field("expires_at", parse_time, text)
    if moment <= now:
        raise FieldError("expires_at", "is in the past: send a later time")
    return moment
