"""The shape of every version of every event, as it was first shipped; and what is wrong with the
events of today, held against that.

Bytes alone do not show every change: a field that nobody sets is in none of them.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import orjson

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.log.codec import EVENTS, shape_of

SHAPES: Final = Path(__file__).parent / "shapes"

Shape = dict[str, str]
"""By field: which JSON it is stored as, and what it means if it is not stored."""

_WORDS: Final = (
    (bool, "boolean"),  # which is an integer to Python
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (datetime, "time"),
    (type(None), "null"),
)


def shape_file(folder: Path, kind: type[Event], version: int) -> Path:
    """Where the shape of a version lies."""
    return folder / f"{kind.TOPIC}.v{version}.json"


def shape(kind: type[Event]) -> Shape:
    """The shape of a class of events, in words that outlive any move of the code."""
    hints = get_type_hints(kind)
    return {name: _said(hints[name], default) for name, default in shape_of(kind).fields}


def _said(hint: object, default: object) -> str:
    words = " | ".join(dict.fromkeys(_words(hint)))
    return words if default is dataclasses.MISSING else f"{words} = {_default(default)}"


def _default(default: object) -> str:
    known: bool = default is None or isinstance(default, bool | int | str | tuple | dict)
    return orjson.dumps(default).decode() if known else "unset"


def _words(hint: Any) -> Iterator[str]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for each in get_args(hint):
            yield from _words(each)
    elif origin is Literal:
        yield from (f'"{value}"' for value in get_args(hint) if isinstance(value, str))
    elif origin is not None:
        yield "object" if issubclass(origin, Mapping) else "array"
    else:
        yield _word(getattr(hint, "__supertype__", hint))  # an AssetId is text to everybody else


def _word(kind: type) -> str:
    return next(word for known, word in _WORDS if issubclass(kind, known))


def wrong_shapes(kinds: Sequence[type[Event]], folder: Path = SHAPES) -> list[str]:
    """What is wrong with these events, each with what to do about it; [] if nothing is.

    An event whose shape changed needs a new version, an upcast from the one before, and its own file.
    """
    return [wrong for kind in kinds for wrong in (*_changed(kind, folder), *_stranded(kind))]


def _changed(kind: type[Event], folder: Path) -> Iterator[str]:
    for version in range(1, kind.class_version + 1):
        if not shape_file(folder, kind, version).exists():
            yield f"{kind.TOPIC} v{version} has no file: run `python -m tests.golden.examples`"
            return
    shipped = orjson.loads(shape_file(folder, kind, kind.class_version).read_bytes())
    today, older = shape(kind), kind.class_version
    if today != shipped:
        differ = [name for name in {**shipped, **today} if today.get(name) != shipped.get(name)]
        was, are = ({n: each.get(n, "nothing") for n in differ} for each in (shipped, today))
        changes = ", ".join(f"{n} was {was[n]}, is {are[n]}" for n in differ)
        yield (
            f"{kind.TOPIC} changed its shape ({changes}): "
            f"give it class_version = {older + 1} and upcast_v{older}_v{older + 1}"
        )


def _stranded(kind: type[Event]) -> Iterator[str]:
    for older in range(1, kind.class_version):
        if not hasattr(kind, f"upcast_v{older}_v{older + 1}"):
            yield f"{kind.TOPIC} v{older} cannot be read: write upcast_v{older}_v{older + 1}"


def keep(kinds: Sequence[type[Event]] = EVENTS, folder: Path = SHAPES) -> None:
    """Write the shapes that have no file yet. One that has is never rewritten."""
    folder.mkdir(exist_ok=True)
    for kind in kinds:
        path = shape_file(folder, kind, kind.class_version)
        if not path.exists():
            path.write_bytes(orjson.dumps(shape(kind), option=orjson.OPT_INDENT_2) + b"\n")
