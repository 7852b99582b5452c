"""Turn the return value of a node into outputs: a content, a name and a type for each.

Promise: nothing is fetched, and only files that the node wrote are opened. A str is never used as a
path or an address, and a Path only if its file was written during the run.
"""

import mimetypes
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from numbers import Number
from pathlib import Path
from typing import IO, Any, Final

from asset_ledger.api.contract.sniff import UNKNOWN, sniff
from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.content import Source
from asset_ledger.api.sdk.errors import SaveError

CLOCK_STEP: Final = 1.0
"""Seconds by which the clock of a file system may be behind ours."""

PNG_MODES: Final = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})
"""Modes of Pillow that PNG can store without a change. Other modes become TIFF."""


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


Returned = Output | Asset | SaveError


def outputs_of(value: Any, stem: str, began: float) -> Iterator[Returned]:
    """Yield what to save of a return value. `began` is the start of the node, in Unix seconds.

    str, numbers and None are not saved. An Asset is yielded as it is. A value that cannot be saved
    is yielded as a SaveError.
    """
    match value:
        case None | str() | Number():
            return
        case Asset() | SaveError():
            yield value
        case Output():
            yield replace(value, name=value.name or stem + _suffix(value.content_type))
        case Mapping():
            for key, each in value.items():
                yield from outputs_of(each, f"{stem}_{key}", began)
        case list() | tuple():
            for number, each in enumerate(value, start=1):
                yield from outputs_of(each, f"{stem}_{number}", began)
        case _ if hasattr(value, "to_asset"):
            yield from outputs_of(_call_to_asset(value, stem), stem, began)
        case _:
            yield _output(value, stem, began)


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
    if _is_a("PIL.Image", "Image", value):
        return _image(value, stem)
    if _is_a("numpy", "ndarray", value):
        return Output(partial(_array, value), f"{stem}.npy", "application/x-npy")
    return SaveError(f"{stem}: cannot save a {type(value).__name__}: give it a to_asset() method")


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


def _image(image: Any, stem: str) -> Output:
    kind = "png" if image.mode in PNG_MODES else "tiff"
    return Output(partial(_encoded, image, kind), f"{stem}.{kind}", f"image/{kind}")


def _encoded(image: Any, kind: str) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def _array(array: Any) -> bytes:
    buffer = BytesIO()
    sys.modules["numpy"].save(buffer, array, allow_pickle=False)  # loading a pickle runs code
    return buffer.getvalue()


def _is_a(module: str, name: str, value: object) -> bool:
    """Return whether a value is an instance of a class of an optional package, if it is loaded."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)
