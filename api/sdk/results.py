"""Turn the return value of a node into outputs: a content, a name and a type for each.

Promise: nothing is fetched, and only files that the node wrote are opened. A str is never used as a
path or an address, and a Path only if its file was written during the run.
"""

import mimetypes
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from asset_ledger.api.contract.sniff import UNKNOWN, sniff
from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.content import Source
from asset_ledger.api.sdk.encoded import Output, encoded_value
from asset_ledger.api.sdk.errors import SaveError

CLOCK_STEP: Final = 1.0
"""Seconds by which the clock of a file system may be behind ours."""

MOST_NESTED: Final = 32
"""Dicts and lists inside each other: a value that contains itself has no end."""

Returned = Output | Asset | SaveError


def outputs_of(value: Any, stem: str, began: float, depth: int = 0) -> Iterator[Returned]:
    """Yield what to save of a return value. `began` is the start of the node, in Unix seconds.

    None is nothing. An Asset is yielded as it is. Texts are text files; numbers, and dicts and
    lists of nothing but plain values, are JSON. Each item of any other dict or list is saved by
    itself. A value that cannot be saved is yielded as a SaveError.
    """
    match value:
        case Asset() | SaveError():
            yield value
        case _ if depth > MOST_NESTED:
            yield SaveError(f"{stem}: cannot save a value that is nested so deep, or in itself")
        case Output():
            yield replace(value, name=value.name or stem + _suffix(value.content_type))
        case _ if (encoded := encoded_value(value, stem)) is not None:
            yield encoded
        case Mapping() | list() | tuple():
            for name, each in _items(value):
                yield from outputs_of(each, f"{stem}_{name}", began, depth + 1)
        case _ if hasattr(value, "to_asset"):
            yield from outputs_of(_call_to_asset(value, stem), stem, began, depth + 1)
        case _ if value is not None:
            yield _output(value, stem, began)


def _items(value: Any) -> Iterable[tuple[object, Any]]:
    return value.items() if isinstance(value, Mapping) else enumerate(value, start=1)


def assets_in(value: Any) -> Iterator[Asset]:
    """Yield the assets in the return value of a node."""
    match value:
        case Asset():
            yield value
        case Mapping():
            for each in value.values():
                yield from assets_in(each)
        case list() | tuple():
            for each in value:
                yield from assets_in(each)


def _call_to_asset(value: Any, stem: str) -> Any:
    try:
        return value.to_asset()
    except Exception as error:
        failure = SaveError(f"{stem}: to_asset() failed: {error!r}")
        failure.__cause__ = error
        return failure


def _output(value: Any, stem: str, began: float) -> Returned:
    if isinstance(value, bytes | bytearray | memoryview):
        return _named(value, bytes(value[:8_192]), stem)
    if isinstance(value, os.PathLike):
        return _path(Path(value), began)
    if hasattr(value, "read"):
        return _file(value, stem)
    return SaveError(
        f"{stem}: cannot save a value of type {type(value).__name__}: return bytes, a text, a Path,"
        " an open file, a picture, an array, a DataFrame, a figure, or give it a to_asset() method"
    )


def _path(path: Path, began: float) -> Returned:
    """Return a file that was written since. Programs cannot set ctime, unlike mtime."""
    try:
        found = path.lstat()
    except OSError as error:
        return SaveError(f"{path} cannot be read: {error.strerror}")
    if not stat.S_ISREG(found.st_mode):
        return SaveError(f"{path} is not a regular file: return the file itself")
    if found.st_ctime < began - CLOCK_STEP:
        return SaveError(f"{path} was there before the node ran: record it with create_asset")
    return Output(path, path.name, mimetypes.guess_type(path.name)[0])


def _file(file: IO[bytes], stem: str) -> Returned:
    if file.seekable():
        file.seek(0)  # after writing, its offset is at the end
    name = getattr(file, "name", None)
    if isinstance(name, str):
        return Output(file, Path(name).name, mimetypes.guess_type(name)[0])
    head = file.read(8_192) if file.seekable() else b""
    if head:
        file.seek(0)
    return _named(file, head, stem)


def _named(content: Source, head: bytes, stem: str) -> Output:
    media_type = sniff(head)
    if media_type == UNKNOWN:
        return Output(content, f"{stem}.bin")
    return Output(content, stem + _suffix(media_type), media_type)


def _suffix(media_type: str | None) -> str:
    return mimetypes.guess_extension(media_type or "") or ""
