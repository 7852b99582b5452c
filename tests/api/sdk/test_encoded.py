"""What a node returns is saved as it is, or refused with a sentence."""

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import polars as pl
import pytest
from matplotlib.figure import Figure
from PIL import Image

from asset_ledger import Asset, BaseNode, ProcessingContext, run_node
from asset_ledger.errors import SaveError

mpl.use("Agg")


class Returns(BaseNode):
    _auto_save_asset = True

    def __init__(self, value: Any) -> None:
        super().__init__(id="n")
        self.value = value

    async def process(self, context: ProcessingContext) -> Any:
        return self.value


async def saved(context: ProcessingContext, value: Any) -> list[Asset]:
    return list((await run_node(Returns(value), context)).assets)


@pytest.mark.parametrize("text", ["", "a text", "äöü 猫\n", "/etc/passwd", "https://example.org/a"])
async def test_a_text_is_saved_as_a_text_file(context: ProcessingContext, text: str) -> None:
    (asset,) = await saved(context, text)

    assert (asset.name, asset.content_type) == ("Returns_n.txt", "text/plain; charset=utf-8")
    assert (await asset.content()).decode() == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"loss": 0.1, "epochs": [1, 2], "name": "猫", "best": None, "ok": True}, None),
        ([1, "two", {"three": [None]}], None),
        ((1, 2), [1, 2]),
        (7, None),
        (2.5, None),
        (2**70, None),
        (
            {"n": np.int64(3), "x": np.float32(0.5), "ok": np.bool_(True)},
            {"n": 3, "x": 0.5, "ok": True},
        ),
        (MappingProxyType({"a": MappingProxyType({"b": {}})}), {"a": {"b": {}}}),
        ({"half": Fraction(1, 2)}, {"half": 0.5}),
    ],
)
async def test_plain_values_are_saved_as_one_json_file(
    context: ProcessingContext, value: Any, expected: Any
) -> None:
    (asset,) = await saved(context, value)

    assert (asset.name, asset.content_type) == ("Returns_n.json", "application/json")
    assert json.loads(await asset.content()) == (value if expected is None else expected)


@pytest.mark.parametrize("value", [None, {}, [], (), {"a": b"", "b": None, "c": []}])
async def test_nothing_is_not_saved(context: ProcessingContext, value: Any) -> None:
    names = [asset.name for asset in await saved(context, value)]

    assert names == (["Returns_n_a.bin"] if value else [])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"loss": float("nan")}, "not JSON compliant"),
        ([float("inf")], "not JSON compliant"),
        (np.float32("nan"), "not JSON compliant"),
        ("\ud800", "surrogates not allowed"),
        ({"text": ["\udfff"]}, "surrogates not allowed"),
        ({1: b"x", "f": Fraction(1, 3)}, "cannot save a value of type Fraction"),
        ({"when": object()}, "cannot save a value of type object"),
        ({1, 2}, "cannot save a value of type set"),
        (1j, "cannot save a value of type complex"),
        (pd.Series([1]), "cannot save a value of type Series"),
        (pl.DataFrame({"a": [1]}).lazy(), "cannot save a value of type LazyFrame"),
        (pd.DataFrame({"a": [1, "two"]}), "Returns_n.parquet was not saved"),
        (np.array([object()]), "Object arrays cannot be saved"),
    ],
)
async def test_a_value_that_would_change_is_refused(
    context: ProcessingContext, value: Any, reason: str
) -> None:
    with pytest.raises(SaveError, match=reason):
        await saved(context, value)


def in_itself(*values: Any) -> list[Any]:
    """Return a list of values and of itself."""
    found: list[Any] = [*values]
    found.append(found)
    return found


class IsItsAsset:
    def to_asset(self) -> Any:
        return self


@pytest.mark.parametrize(
    "value", [in_itself("a"), in_itself(b"a"), IsItsAsset(), Fraction(10**400)]
)
async def test_a_value_without_an_end_is_refused(context: ProcessingContext, value: Any) -> None:
    with pytest.raises(SaveError, match=r"nested so deep|JSON cannot hold this value"):
        await saved(context, value)


FRAME = pd.DataFrame(
    {"n": [1, 2], "x": [0.5, None], "when": pd.to_datetime(["2024-01-01", None]), "猫": ["a", "b"]}
)


@pytest.mark.parametrize(
    "frame", [FRAME, FRAME.set_index("n"), FRAME.iloc[:0], FRAME.rename(columns={"n": "to_asset"})]
)
async def test_a_pandas_frame_is_saved_as_parquet(
    context: ProcessingContext, frame: pd.DataFrame
) -> None:
    (asset,) = await saved(context, frame)

    assert (asset.name, asset.content_type) == ("Returns_n.parquet", PARQUET)
    pd.testing.assert_frame_equal(pd.read_parquet(BytesIO(await asset.content())), frame)


PARQUET = "application/vnd.apache.parquet"


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"n": [1, 2], "x": [0.5, None], "tags": [["a"], []]}),
        pl.DataFrame({"n": []}),
        pl.DataFrame({"a": [{"b": 1}]}),
    ],
)
async def test_a_polars_frame_is_saved_as_parquet(
    context: ProcessingContext, frame: pl.DataFrame
) -> None:
    (asset,) = await saved(context, frame)

    assert (asset.name, asset.content_type) == ("Returns_n.parquet", PARQUET)
    assert pl.read_parquet(BytesIO(await asset.content())).equals(frame)


async def test_a_pandas_frame_is_refused_without_pyarrow(
    context: ProcessingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(SaveError, match="pip install pyarrow"):
        await saved(context, FRAME)


def plotted() -> Figure:
    figure = Figure(figsize=(2, 1), dpi=100)
    figure.add_subplot().plot([1, 2, 3])
    return figure


@pytest.mark.parametrize("count", [1, 3])
async def test_a_matplotlib_figure_is_saved_as_png(context: ProcessingContext, count: int) -> None:
    assets = await saved(context, {str(number): plotted() for number in range(count)})

    assert [asset.name for asset in assets] == [f"Returns_n_{n}.png" for n in range(count)]
    with Image.open(BytesIO(await assets[-1].content())) as picture:
        assert (picture.format, picture.size) == ("PNG", (200, 100))


FIGURES: list[Callable[[], go.Figure]] = [
    lambda: go.Figure(go.Scatter(x=[1, 2], y=[3, 4])),
    lambda: go.Figure(go.Bar(x=["a"], y=np.array([1]))),
    go.Figure,
]


@pytest.mark.parametrize("make", FIGURES)
async def test_a_plotly_figure_is_saved_as_its_json(
    context: ProcessingContext, make: Callable[[], go.Figure]
) -> None:
    figure = make()

    (asset,) = await saved(context, figure)

    assert asset.name == "Returns_n.plotly.json"
    assert asset.content_type == "application/vnd.plotly.v1+json"
    assert plotly.io.from_json((await asset.content()).decode()) == figure


async def test_values_of_several_kinds_are_saved_one_by_one(context: ProcessingContext) -> None:
    value = {"plot": plotted(), "metrics": {"loss": 0.5}, "notes": "x", "none": None, "raw": [b"b"]}

    names = [asset.name for asset in await saved(context, value)]

    assert names == [
        "Returns_n_plot.png",
        "Returns_n_metrics.json",
        "Returns_n_notes.txt",
        "Returns_n_raw_1.bin",
    ]
