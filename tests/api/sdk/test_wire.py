"""Arguments of the SDK as JSON: what JSON cannot say is refused, never changed."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest

from asset_ledger import Asset, Gateway, ProcessingContext
from asset_ledger.api.sdk.wire import fields_json
from asset_ledger.errors import FieldError


@dataclass
class Scores:
    """Results of a model, as workflow code keeps them."""

    loss: float


class Limit(Enum):
    """A choice with a number as its value."""

    NONE = math.inf


NOT_FINITE = [
    math.nan,
    -math.inf,
    [None, {"deep": [1.0, math.inf]}],
    (math.nan,),
    Scores(math.nan),
    Limit.NONE,
]


@pytest.mark.parametrize("value", NOT_FINITE, ids=repr)
def test_numbers_that_json_cannot_say_are_refused_with_their_field(value: Any) -> None:
    with pytest.raises(FieldError, match=r"metadata.*NaN or infinity"):
        fields_json({"name": "a", "metadata": {"best": value}})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, b"null"),
        ("null", b'"null"'),
        ([None, Scores(0.5), datetime(2026, 1, 1, tzinfo=UTC)],
         b'[null,{"loss":0.5},"2026-01-01T00:00:00+00:00"]'),
    ],
)  # fmt: skip
def test_null_is_said_where_it_was_given(value: Any, text: bytes) -> None:
    assert fields_json({"a": value}) == b'{"a":' + text + b"}"


async def test_nothing_is_recorded_of_a_refused_number(embedded: Gateway, remote: Gateway) -> None:
    for gateway in (embedded, remote):
        context = ProcessingContext(job_id="nan", gateway=gateway)

        with pytest.raises(FieldError):
            await context.create_asset("a", content=b"x", metadata={"loss": math.nan})

        assert await Asset.paginate(job_id="nan", gateway=gateway) == ([], "")
