"""A zip that is made while it is sent: nothing of it is kept but the list of its entries.

Contents are deflated at level 0, as they are: most are compressed already, and the rest would cost
the other requests the processor. Stored entries would have their sizes behind them and nothing that
marks their end, which programs that read a zip as it comes refuse.
"""

import zipfile
from collections.abc import Awaitable, Callable
from io import RawIOBase
from typing import Any, Final

import orjson

from asset_ledger.api.http.entry_names import EntryNames, inside
from asset_ledger.ledger.domain.event import parse_time
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.service import Ledger
from asset_ledger.projections.queries.folders import FolderQueries, Member

Send = Callable[[bytes], Awaitable[None]]

_FILE: Final = 0o100644 << 16
_FOLDER: Final = 0o040755 << 16 | 0x10
"""Attributes of entries, for Unix and (the last bit) for Windows."""


class Pieces(RawIOBase):
    """Takes what a ZipFile writes until it is sent. It cannot be sought in: sizes come after."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, piece: Any) -> int:
        """Keep a piece."""
        self._written.append(bytes(piece))
        return len(self._written[-1])

    def take(self) -> bytes:
        """What was written since."""
        taken = b"".join(self._written)
        self._written.clear()
        return taken


class Archive:
    """Assets as a zip, each once, folders with all that is in them. `send` gets the pieces."""

    def __init__(self, ledger: Ledger, folders: FolderQueries, user_id: str, send: Send) -> None:
        self._ledger, self._folders, self._user_id, self._send = ledger, folders, user_id, send
        self._names = EntryNames()
        self._paths: dict[AssetId | None, str] = {}
        self._known: set[AssetId] = set()
        self._pieces = Pieces()
        self._zip = zipfile.ZipFile(self._pieces, "w")

    async def add(self, member: Member) -> None:
        """An asset at the top, with all that is in it."""
        await self._add("", member)
        if not member.is_folder:
            return
        async for folder, page in self._folders.below(self._user_id, member.id):
            for each in page:
                await self._add(inside(self._paths[folder]), each)

    async def finish(self) -> None:
        """The list of entries, with which a zip ends."""
        self._zip.close()
        await self._flush()

    async def _add(self, folder: str, member: Member) -> None:
        if member.id in self._known:
            return
        self._known.add(member.id)
        asset = orjson.loads(member.json)
        path = self._names.take(folder, asset["name"])
        if member.is_folder:
            self._paths[member.id] = path
            self._zip.writestr(_info(f"{path}/", asset, _FOLDER), b"")
        else:
            await self._write(_info(path, asset, _FILE), asset["digest"])
        await self._flush()

    async def _write(self, info: zipfile.ZipInfo, digest: str | None) -> None:
        with self._zip.open(info, "w") as entry:
            if digest is None:
                return
            content = await self._ledger.open_content(Digest(digest))
            try:
                async for piece in content.chunks(0, info.file_size):
                    entry.write(piece)
                    await self._flush()
            finally:
                await content.close()

    async def _flush(self) -> None:
        if piece := self._pieces.take():
            await self._send(piece)


def _info(path: str, asset: dict[str, Any], attributes: int) -> zipfile.ZipInfo:
    when = max(parse_time(asset["updated_at"]).timetuple()[:6], (1980, 1, 1, 0, 0, 0))
    info = zipfile.ZipInfo(path, when)
    info.file_size = asset["size"]  # known beforehand, so that large ones are written as ZIP64
    info.external_attr = attributes
    info.compress_type = zipfile.ZIP_DEFLATED
    info._compresslevel = 0  # type: ignore[attr-defined]  # `compress_level` needs Python 3.13
    return info
