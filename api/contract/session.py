"""The session of a browser, and what the caller of a request may do."""

from typing import Annotated, Literal

from pydantic import Field

from asset_ledger.api.contract.fields import StrictModel
from asset_ledger.api.contract.principal import Scope
from asset_ledger.api.contract.shapes import AnswerModel, Time


class SessionIn(StrictModel):
    """A token to exchange for a session, or a user that an admin's session acts for, or both."""

    token: Annotated[
        str, Field(description="A token; if absent, what authenticates this request.")
    ] = ""
    for_user: Annotated[
        str, Field(description="Whose assets and jobs the session reads and writes.")
    ] = ""


class LimitsOut(AnswerModel):
    """Limits of the server: null is none."""

    max_upload_bytes: int | None


class SessionOut(AnswerModel):
    """The caller, and what this server offers. `name` is that of the token."""

    auth: Literal["local", "tokens", "jwt"]
    user_id: str
    for_user: Annotated[str | None, Field(description="If the caller acts for another user.")]
    name: str | None
    scopes: list[Scope]
    expires_at: Annotated[Time | None, Field(description="Of the session or the token.")]
    limits: LimitsOut
    version: str
    origin: Annotated[str, Field(description="The log's name in its checkpoints.")]
    previews: Annotated[list[str], Field(description="Contents that are drawn or measured.")]
