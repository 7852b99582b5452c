"""The parameters and the answer of the list of users."""

from typing import Annotated, Final

from pydantic import Field

from asset_ledger.api.contract.parameters import CURSOR, MIN_POSITION, PAGE_SIZE, Parameter
from asset_ledger.api.contract.shapes import AnswerModel

USERS: Final = (
    Parameter("prefix", "What an id begins with.", default=""),
    PAGE_SIZE,
    CURSOR,
    MIN_POSITION,
)


class UserOut(AnswerModel):
    """A user, its valid tokens, and its live assets."""

    user_id: str
    tokens: int
    assets: int
    bytes: int


class UserList(AnswerModel):
    """Users with assets or valid tokens, in the order of their ids."""

    users: list[UserOut]
    next: Annotated[str, Field(description="The cursor of the next page; empty on the last.")]
