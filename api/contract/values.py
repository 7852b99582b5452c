"""The parameters and the answer of suggestions: the values of a field, most frequent first."""

from collections.abc import Sequence
from typing import Final

from asset_ledger.api.contract.assets import FILTERS
from asset_ledger.api.contract.parameters import MIN_POSITION, Parameter, one_of, whole
from asset_ledger.api.contract.shapes import AnswerModel
from asset_ledger.projections.queries.values import FIELDS

VALUES: Final[Sequence[Parameter]] = (
    Parameter("field", "The field whose values are returned.", one_of(FIELDS), default="node_id"),
    Parameter("prefix", "What a value begins with.", default=""),
    Parameter("limit", "How many values are returned.", whole(1, 100), default=10),
    *FILTERS,
    MIN_POSITION,
)


class ValueOut(AnswerModel):
    """A value of the field, and how many live assets have it."""

    value: str
    count: int


class ValuesOut(AnswerModel):
    """The most frequent values of a field."""

    field: str
    values: list[ValueOut]
