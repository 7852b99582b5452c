"""Encode the values that a node returns: plain values, and those of libraries that it loaded.

Promise: a value is encoded as it is or refused. What JSON or Parquet cannot hold raises an error.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from numbers import Integral, Real
from typing import Any, Final

from asset_ledger.api.sdk.content import Source
from asset_ledger.api.sdk.errors import SaveError

PNG_MODES: Final = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})
"""Modes of Pillow that PNG can store without a change. Other modes become TIFF."""

PARQUET: Final = "application/vnd.apache.parquet"
PLOTLY: Final = "application/vnd.plotly.v1+json"


@dataclass(frozen=True, slots=True)
class Output:
    """A file to save. A node, or `to_asset()` of a returned object, may return it.

    `content` may be a function that encodes it: it is called in a thread.
    """

    content: Source | Callable[[], bytes]
    name: str | None = None
    content_type: str | None = None
    metadata: Mapping[str, Any] | None = None
    tags: tuple[str, ...] | None = None


def encoded_value(value: Any, stem: str) -> Output | SaveError | None:
    """Return the output for a text, a plain value, or a value of a library that is loaded.

    None for any other value, and for None and empty dicts and lists, which hold nothing to save.
    """
    if value is None or (isinstance(value, Mapping | list | tuple) and not value):
        return None
    if isinstance(value, str):
        return Output(value.encode, f"{stem}.txt", "text/plain; charset=utf-8")
    try:
        is_plain = _is_plain(value)
    except (RecursionError, OverflowError) as error:
        return SaveError(f"{stem}: JSON cannot hold this value: {error}")
    if is_plain:
        return Output(partial(_json, value), f"{stem}.json", "application/json")
    return _of_a_library(value, stem)


def _is_plain(value: Any) -> bool:
    """Return whether a value is None, a text, a number, or a dict or list of plain values."""
    match value:
        case None | str() | Integral():
            return True
        case Mapping():
            return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
        case list() | tuple():
            return all(map(_is_plain, value))
        case Real():  # a Fraction may be no float
            return math.isnan(value) or float(value) == value
    return _is_a("numpy", "bool", value)


def _json(value: Any) -> bytes:
    """Encode a plain value as JSON. Raises ValueError for NaN, infinity and half a surrogate."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_own).encode()


def _own(value: Any) -> Any:
    """Convert a number or a mapping of a library, such as numpy, to Python's own."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    return bool(value)


def _is_a(module: str, kind: str, value: object) -> bool:
    """Return whether a value is an instance of a class of an optional package, if it is loaded."""
    found = getattr(sys.modules.get(module), kind, None)
    return found is not None and isinstance(value, found)


def _of_a_library(value: Any, stem: str) -> Output | SaveError | None:
    for module, kind, output in _KINDS:
        if _is_a(module, kind, value):
            return output(value, stem)
    return None


def _image(image: Any, stem: str) -> Output:
    kind = "png" if image.mode in PNG_MODES else "tiff"
    encode = partial(_written, partial(image.save, format=kind))
    return Output(encode, f"{stem}.{kind}", f"image/{kind}")


def _array(array: Any, stem: str) -> Output:
    # Without pickles: loading one runs code.
    encode = partial(_written, partial(sys.modules["numpy"].save, arr=array, allow_pickle=False))
    return Output(encode, f"{stem}.npy", "application/x-npy")


def _pandas(frame: Any, stem: str) -> Output | SaveError:
    if find_spec("pyarrow") is None:
        return SaveError(f"{stem}: saving a DataFrame needs pyarrow: pip install pyarrow")
    return Output(partial(_written, frame.to_parquet), f"{stem}.parquet", PARQUET)


def _polars(frame: Any, stem: str) -> Output:
    return Output(partial(_written, frame.write_parquet), f"{stem}.parquet", PARQUET)


def _matplotlib(figure: Any, stem: str) -> Output:
    encode = partial(_written, partial(figure.savefig, format="png"))
    return Output(encode, f"{stem}.png", "image/png")


def _plotly(figure: Any, stem: str) -> Output:
    return Output(lambda: figure.to_json().encode(), f"{stem}.plotly.json", PLOTLY)


def _written(write: Callable[[BytesIO], object]) -> bytes:
    """Return the bytes that a library writes into a file."""
    buffer = BytesIO()
    write(buffer)
    return buffer.getvalue()


_KINDS: Final[tuple[tuple[str, str, Callable[[Any, str], Output | SaveError]], ...]] = (
    ("PIL.Image", "Image", _image),
    ("numpy", "ndarray", _array),
    ("pandas", "DataFrame", _pandas),
    ("polars", "DataFrame", _polars),
    ("matplotlib.figure", "Figure", _matplotlib),
    ("plotly.basedatatypes", "BaseFigure", _plotly),
)
