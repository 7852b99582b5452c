"""What is known about the bytes of a content: their last check, and that they were stored again."""

from typing import Annotated

from pydantic import Field

from asset_ledger.api.contract.shapes import AnswerModel, Time


class CheckOut(AnswerModel):
    """The last check of the bytes of an asset, and what is wrong with them."""

    digest: str
    size: int
    checked_at: Annotated[
        Time | None, Field(description="The last time that the scrub read them; null: not yet.")
    ]
    damage: Annotated[
        str | None, Field(description="What was found wrong, and not repaired since.")
    ]


class RepairOut(AnswerModel):
    """The content that was stored."""

    digest: str
    size: int
