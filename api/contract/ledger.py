"""The answer that describes the log."""

from typing import Annotated

from pydantic import Field

from asset_ledger.api.contract.shapes import AnswerModel, Time


class LedgerOut(AnswerModel):
    """The log as its newest checkpoint has it. `root` is in base64."""

    origin: str
    size: int
    root: str
    opened_at: Time
    last_recorded_at: Time
    log_bytes: Annotated[int, Field(description="Of its file, without contents and tables.")]
    events_last_minute: int
