"""The session of a browser, and what the caller of a request may do."""

from typing import Annotated, Literal

from pydantic import Field

from asset_ledger.api.contract.fields import StrictModel
from asset_ledger.api.contract.principal import Scope
from asset_ledger.api.contract.shapes import AnswerModel, Time


class SessionIn(StrictModel):
    """A token to exchange for a session."""

    token: Annotated[str, Field(description="A token, as a bearer token would be sent.")]


class LimitsOut(AnswerModel):
    """Limits of the server: null is none."""

    max_upload_bytes: int | None


class SessionOut(AnswerModel):
    """The caller, and what this server offers. `name` is that of the token."""

    auth: Literal["local", "tokens", "jwt"]
    user_id: str
    name: str | None
    scopes: list[Scope]
    expires_at: Annotated[Time | None, Field(description="Of the session or the token.")]
    limits: LimitsOut
    version: str
    origin: Annotated[str, Field(description="The log's name in its checkpoints.")]
    previews: Annotated[list[str], Field(description="Kinds of contents that get thumbnails.")]
