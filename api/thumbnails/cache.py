"""The cache of thumbnails by content digest: each is drawn once and is never stale.

A failure is cached too, so that repeated requests do not repeat it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from asset_ledger.api.thumbnails.drawer import Drawer
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.ledger.content.store import Content
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.files import storage_errors
from asset_ledger.projections.tables.assets import thumbnail_kind

VERSION: Final = 2
"""Part of the folder's name and of entity tags. Raise it when the drawing changes."""

MEDIA_TYPE: Final = "image/webp"

DRAWERS: Final = 2
"""The number of drawing processes. Each starts with its first drawing."""
MAX_LOOSE: Final = 64 * 2**20
"""Bytes of the largest content without a file of its own, which is sent to the process."""

_PICTURE: Final = b"RIFF"

Open = Callable[[Digest], Awaitable[Content]]


class Thumbnails:
    """The thumbnails in a folder. The folder may be deleted at any time."""

    def __init__(self, folder: Path, open_content: Open) -> None:
        self._folder = folder / f"thumbnails-{VERSION}"
        self._open_content = open_content
        self._drawers = [Drawer() for _ in range(DRAWERS)]
        self._free: asyncio.LifoQueue[Drawer] = asyncio.LifoQueue()
        for drawer in self._drawers:
            self._free.put_nowait(drawer)
        self._drawing: dict[Path, asyncio.Task[bytes]] = {}

    async def of(self, digest: Digest, content_type: str, side: int) -> bytes:
        """Return the thumbnail of a content, as WebP of at most `side` pixels a side.

        Raises UndrawableError.
        """
        kind = _kind(content_type)
        path = self._path(digest, kind, side)
        kept = await asyncio.to_thread(_read, path)
        if kept is None:
            if path not in self._drawing:
                task = asyncio.create_task(self._draw(path, digest, kind, side))
                task.add_done_callback(lambda _: self._drawing.pop(path))
                self._drawing[path] = task
            kept = await asyncio.shield(self._drawing[path])
        if not kept.startswith(_PICTURE):
            raise UndrawableError(f"no thumbnail can be made of this content: {kept.decode()}")
        return kept

    async def close(self) -> None:
        """Cancel every drawing and end the processes."""
        tasks = list(self._drawing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(drawer.end() for drawer in self._drawers))

    async def _draw(self, path: Path, digest: Digest, kind: str, side: int) -> bytes:
        """Draw a picture and cache it. Return it, or the reason why there is none."""
        drawer = await self._free.get()
        try:
            drawn = await self._drawn(drawer, digest, kind, side)
        except UndrawableError as error:
            drawn = str(error).encode()
        finally:
            self._free.put_nowait(drawer)
        await asyncio.to_thread(_keep, path, drawn)
        return drawn

    async def _drawn(self, drawer: Drawer, digest: Digest, kind: str, side: int) -> bytes:
        content = await self._open_content(digest)
        try:
            return await drawer.draw(kind, content.path or await _loose(content), side)
        finally:
            await content.close()

    def _path(self, digest: Digest, kind: str, side: int) -> Path:
        name = digest.removeprefix("sha256:")
        return self._folder / name[:2] / f"{name}.{kind}.{side}"


def drawn_kinds() -> list[str]:
    """Return the kinds of contents that thumbnails can be made of here: `image`, `video`."""
    return ["image", "video"] if find_spec("av") is not None else ["image"]


def _kind(content_type: str) -> str:
    kind = thumbnail_kind(content_type)
    if kind is None:
        raise UndrawableError(f"no thumbnail is made of {content_type}")
    if kind not in drawn_kinds():
        raise UndrawableError("thumbnails of videos need the extra `video`: asset-ledger[video]")
    return kind


async def _loose(content: Content) -> bytes:
    if content.size > MAX_LOOSE:
        raise UndrawableError(f"{content.size:,} bytes are too many to draw")
    return b"".join([piece async for piece in content.chunks(0, content.size)])


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _keep(path: Path, drawn: bytes) -> None:
    """Write the file completely and sync it before it gets its name."""
    fresh = path.with_suffix(f"{path.suffix}.new")
    with storage_errors("the thumbnail was not kept"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            file.write(drawn)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
