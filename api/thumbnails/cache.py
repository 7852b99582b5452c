"""The cache of thumbnails by content digest: each is drawn once and is never stale. The loudness of
sounds, and what stands in the place of a picture until it is there, are stored beside them.

The reason why a content cannot be drawn is cached too. A failure that the content may not have
caused (the process was killed, the machine was slow) is repeated after a pause. Promise: no picture
and no reason is cached for damaged bytes.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, NamedTuple

import orjson

from asset_ledger.api.contract.errors import DrawingFailedError
from asset_ledger.api.thumbnails.drawer import Drawer, FailedDrawingError
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import LARGEST, Drawn
from asset_ledger.api.thumbnails.loudness import PARTS, resampled
from asset_ledger.ledger.content.checked import check
from asset_ledger.ledger.content.store import Content
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.files import storage_errors
from asset_ledger.ledger.storage.turns import Turns
from asset_ledger.projections.tables.assets import thumbnail_kind

VERSION: Final = 3
"""Part of the folder's name and of entity tags. Raise it when the drawing changes."""

MEDIA_TYPE: Final = "image/webp"

DRAWERS: Final = 2
"""The number of drawing processes. Where there are several users, each gets one at a time, and 32
of its drawings may wait. A process starts with its first drawing."""
MAX_LOOSE: Final = 64 * 2**20
"""Bytes of the largest content without a file of its own, which is sent to the process."""

FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3_600.0
"""Seconds after a failed drawing until the next one. The pause doubles with each failure."""
MOST_FAILURES: Final = 1_000
"""Failed drawings that are remembered; the oldest are forgotten."""

_DRAWN: Final = (b"RIFF", b"{")
"""How a picture and the loudness of a sound begin, and no reason."""

_PLACEHOLDER: Final = "placeholder"

Open = Callable[[Digest, int], Awaitable[Content]]


class _Failure(NamedTuple):
    reason: str
    pause: float
    ends: float


class Thumbnails:
    """The thumbnails in a folder. The folder may be deleted at any time."""

    def __init__(
        self, folder: Path, open_content: Open, objects: Path, per_user: int = DRAWERS
    ) -> None:
        """`objects`: the folder of the contents that have files of their own. `per_user`: how many
        drawings of one user run at the same time."""
        self._folder = folder / f"thumbnails-{VERSION}"
        _remove_unfinished(folder)
        self._open_content = open_content
        self._drawers = [Drawer(readable=objects) for _ in range(DRAWERS)]
        self._free = [*self._drawers]
        self._turns = Turns(DRAWERS, per_user, "thumbnails")
        self._drawing: dict[Path, asyncio.Task[bytes]] = {}
        self._failed: dict[Path, _Failure] = {}

    async def of(self, digest: Digest, size: int, content_type: str, side: int = LARGEST) -> bytes:
        """Return the thumbnail of a content of this size, as WebP of at most `side` pixels a side.

        Raises UndrawableError, DrawingFailedError, ContentDamagedError, and BusyError if too many
        drawings of the user wait.
        """
        kind = _kind(content_type)
        made = await self._made(self._path(digest, kind, side), digest, size, kind, side)
        if not made.startswith(_DRAWN):
            raise UndrawableError(f"no thumbnail can be made of this content: {made.decode()}")
        return made

    async def placeholder(self, digest: Digest, size: int, content_type: str) -> dict[str, Any]:
        """Return `width`, `height` and `thumbhash` of a content. Raises what `of` raises."""
        await self.of(digest, size, content_type)
        known = await asyncio.to_thread(self.known_placeholder, digest, content_type)
        if known is None:
            raise DrawingFailedError("its thumbnail was removed meanwhile", 1)
        return known

    def known_placeholder(self, digest: Digest, content_type: str) -> dict[str, Any] | None:
        """Return the placeholder of a content; None before its first thumbnail. Blocks."""
        kind = thumbnail_kind(content_type)
        kept = _read(self._path(digest, kind, _PLACEHOLDER)) if kind else None
        return orjson.loads(kept) if kept is not None else None

    async def loudness(
        self, digest: Digest, size: int, content_type: str, count: int = PARTS
    ) -> dict[str, Any]:
        """Return the `duration` of a sound in seconds, and `count` or fewer `peaks`, from 0 to 1.

        Raises what `of` raises.
        """
        if not content_type.startswith("audio/"):
            raise UndrawableError(f"{content_type} has no loudness")
        made = await self._made(self._path(digest, "audio", PARTS), digest, size, "audio", PARTS)
        if not made.startswith(_DRAWN):
            raise UndrawableError(f"the loudness cannot be measured: {made.decode()}")
        measured: dict[str, Any] = orjson.loads(made)
        return {**measured, "peaks": resampled(measured["peaks"], count)}

    async def _made(self, path: Path, digest: Digest, size: int, kind: str, side: int) -> bytes:
        """Return what is cached at a path, or draw it: the picture, or why there is none."""
        kept = await asyncio.to_thread(_read, path)
        if kept is None:
            self._check_pause(path)
            if path not in self._drawing:
                task = asyncio.create_task(self._draw(path, digest, size, kind, side))
                task.add_done_callback(lambda _: self._drawing.pop(path))
                self._drawing[path] = task
            kept = await asyncio.shield(self._drawing[path])
        return kept

    def forget(self, digests: Sequence[Digest]) -> None:
        """Remove the thumbnails of collected contents. Blocks."""
        for digest in digests:
            name = digest.removeprefix("sha256:")
            for path in (self._folder / name[:2]).glob(f"{name}.*"):
                path.unlink(missing_ok=True)

    async def close(self) -> None:
        """Cancel every drawing and end the processes."""
        tasks = list(self._drawing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(drawer.end() for drawer in self._drawers))

    async def _draw(self, path: Path, digest: Digest, size: int, kind: str, side: int) -> bytes:
        """Draw a picture and cache it. Return it, or the reason why there is none."""
        async with self._turns.take():
            drawer = self._free.pop()
            try:
                body, placeholder = await self._drawn(drawer, digest, size, kind, side)
            except FailedDrawingError as error:
                raise self._note_failure(path, str(error)) from error
            finally:
                self._free.append(drawer)
        self._failed.pop(path, None)
        if placeholder is not None:  # before the picture, so that a picture has one
            about = self._path(digest, kind, _PLACEHOLDER)
            await asyncio.to_thread(_keep, about, orjson.dumps(placeholder._asdict()))
        await asyncio.to_thread(_keep, path, body)
        return body

    async def _drawn(
        self, drawer: Drawer, digest: Digest, size: int, kind: str, side: int
    ) -> Drawn:
        content = await self._open_content(digest, size)
        try:
            drawn = await _picture_or_reason(drawer, kind, content, side)
            if size <= MAX_LOOSE or not drawn.body.startswith(_DRAWN):
                await check(content)
            return drawn
        finally:
            await content.close()

    def _check_pause(self, path: Path) -> None:
        failure = self._failed.get(path)
        if failure is not None and (left := failure.ends - time.monotonic()) > 0:
            raise DrawingFailedError(failure.reason, left)

    def _note_failure(self, path: Path, reason: str) -> DrawingFailedError:
        before = self._failed.pop(path, None)
        pause = FIRST_PAUSE if before is None else min(2 * before.pause, LONGEST_PAUSE)
        if len(self._failed) >= MOST_FAILURES:
            del self._failed[next(iter(self._failed))]
        self._failed[path] = _Failure(reason, pause, time.monotonic() + pause)
        return DrawingFailedError(reason, pause)

    def _path(self, digest: Digest, kind: str, side: int | str) -> Path:
        name = digest.removeprefix("sha256:")
        return self._folder / name[:2] / f"{name}.{kind}.{side}"


def drawn_kinds() -> list[str]:
    """Return the kinds of contents that are drawn here, and `audio` if every sound is measured."""
    return ["image", "video", "audio"] if find_spec("av") is not None else ["image"]


def _kind(content_type: str) -> str:
    kind = thumbnail_kind(content_type)
    if kind is None:
        raise UndrawableError(f"no thumbnail is made of {content_type}")
    if kind != "image" and kind not in drawn_kinds():  # which looks at the disk
        raise UndrawableError("thumbnails of videos need the extra `video`: asset-ledger[video]")
    return kind


async def _picture_or_reason(drawer: Drawer, kind: str, content: Content, side: int) -> Drawn:
    try:
        return await drawer.draw(kind, content.path or await _loose(content), side)
    except UndrawableError as error:
        return Drawn(str(error).encode())


async def _loose(content: Content) -> bytes:
    if content.size > MAX_LOOSE:
        raise UndrawableError(f"{content.size:,} bytes are too many to draw")
    return b"".join([piece async for piece in content.chunks(0, content.size)])


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _remove_unfinished(folder: Path) -> None:
    """Remove the files that a killed server did not finish."""
    for path in folder.glob("thumbnails-*/*/*.new"):
        path.unlink(missing_ok=True)


def _keep(path: Path, drawn: bytes) -> None:
    """Write the file completely and sync it before it gets its name. Two may keep one path."""
    fresh = path.with_suffix(f"{path.suffix}.{token_hex(4)}.new")
    with storage_errors("the thumbnail was not kept"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            file.write(drawn)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
