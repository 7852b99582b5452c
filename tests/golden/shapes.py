"""The released shape of every version of every event, and the comparison of today's events with it.

Golden bytes do not show every change: a field with its default is in none of them.
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
"""By field: its JSON type, and its value if it is not stored."""

_TYPES: Final = (
    (bool, "boolean"),  # before int: bool is a subclass of int
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (datetime, "time"),
    (type(None), "null"),
)


def shape_file(folder: Path, kind: type[Event], version: int) -> Path:
    """Return the file of the shape of a version."""
    return folder / f"{kind.TOPIC}.v{version}.json"


def shape(kind: type[Event]) -> Shape:
    """Return the shape of a class of events, as names of JSON types."""
    hints = get_type_hints(kind)
    return {name: _description(hints[name], default) for name, default in shape_of(kind).fields}


def _description(hint: object, default: object) -> str:
    types = " | ".join(dict.fromkeys(_type_names(hint)))
    return types if default is dataclasses.MISSING else f"{types} = {_default(default)}"


def _default(default: object) -> str:
    is_json: bool = default is None or isinstance(default, bool | int | str | tuple | dict)
    return orjson.dumps(default).decode() if is_json else "unset"


def _type_names(hint: Any) -> Iterator[str]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for each in get_args(hint):
            yield from _type_names(each)
    elif origin is Literal:
        yield from (f'"{value}"' for value in get_args(hint) if isinstance(value, str))
    elif origin is not None:
        yield "object" if issubclass(origin, Mapping) else "array"
    else:
        yield _type_name(getattr(hint, "__supertype__", hint))  # the str of an AssetId


def _type_name(kind: type) -> str:
    return next(name for type_, name in _TYPES if issubclass(kind, type_))


def wrong_shapes(kinds: Sequence[type[Event]], folder: Path = SHAPES) -> list[str]:
    """Return the problems of these events, each with its remedy; [] if there is none.

    An event with a changed shape needs a new version, an upcast to it, and a file of its own.
    """
    return [problem for kind in kinds for problem in (*_changed(kind, folder), *_unreadable(kind))]


def _changed(kind: type[Event], folder: Path) -> Iterator[str]:
    for version in range(1, kind.class_version + 1):
        if not shape_file(folder, kind, version).exists():
            yield f"{kind.TOPIC} v{version} has no file: run `python -m tests.golden.examples`"
            return
    released = orjson.loads(shape_file(folder, kind, kind.class_version).read_bytes())
    today, older = shape(kind), kind.class_version
    if today != released:
        differ = [name for name in {**released, **today} if today.get(name) != released.get(name)]
        was, are = ({n: each.get(n, "nothing") for n in differ} for each in (released, today))
        changes = ", ".join(f"{n} was {was[n]}, is {are[n]}" for n in differ)
        yield (
            f"{kind.TOPIC} changed its shape ({changes}): "
            f"give it class_version = {older + 1} and upcast_v{older}_v{older + 1}"
        )


def _unreadable(kind: type[Event]) -> Iterator[str]:
    for older in range(1, kind.class_version):
        if not hasattr(kind, f"upcast_v{older}_v{older + 1}"):
            yield f"{kind.TOPIC} v{older} cannot be read: write upcast_v{older}_v{older + 1}"


def keep(kinds: Sequence[type[Event]] = EVENTS, folder: Path = SHAPES) -> None:
    """Write the shapes without a file. Never rewrite a file."""
    folder.mkdir(exist_ok=True)
    for kind in kinds:
        path = shape_file(folder, kind, kind.class_version)
        if not path.exists():
            path.write_bytes(orjson.dumps(shape(kind), option=orjson.OPT_INDENT_2) + b"\n")
