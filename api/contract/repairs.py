"""The response when the bytes of a content were stored again."""

from asset_ledger.api.contract.shapes import AnswerModel


class RepairOut(AnswerModel):
    """The content that was stored."""

    digest: str
    size: int
