"""Write assets as a zip while it is sent: only the list of its entries stays in memory.

Contents are deflated at level 0: most are compressed already, and compressing the others would take
processor time from other requests. Stored entries would have their size behind them and no end
mark, which programs that read a zip while it arrives refuse.
"""

import asyncio
import zipfile
from collections.abc import Awaitable, Callable
from io import RawIOBase
from typing import Any, Final

import orjson

from asset_ledger.api.http.entry_names import MAX_ZIPPED, EntryNames, inside
from asset_ledger.ledger.domain.event import parse_time
from asset_ledger.ledger.ids import AssetId, Digest
from asset_ledger.ledger.service import Ledger
from asset_ledger.projections.queries.folders import FolderQueries, Member

Send = Callable[[bytes], Awaitable[None]]

PIECE: Final = 1 << 20
"""Bytes of the list of entries that are sent at once."""

MOST: Final = 64
EACH: Final = 4
"""Zips and bundles that are sent at the same time, and those of one user, unless it is the only
one: each keeps the list of its entries in memory. 32 of one user may wait."""

_FILE: Final = 0o100644 << 16
_FOLDER: Final = 0o040755 << 16 | 0x10
"""Attributes of entries, for Unix and (the last bit) for Windows."""


class Pieces(RawIOBase):
    """The output file of a ZipFile. It cannot seek, so sizes follow the entries."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, piece: Any) -> int:
        """Append a piece and return its length in bytes."""
        self._written.append(bytes(piece))
        return len(self._written[-1])

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = b"".join(self._written)
        self._written.clear()
        return taken


class Archive:
    """One zip of assets, each once, folders with their contents. `send` gets the pieces."""

    def __init__(self, ledger: Ledger, folders: FolderQueries, user_id: str, send: Send) -> None:
        self._ledger, self._folders, self._user_id, self._send = ledger, folders, user_id, send
        self._names = EntryNames()
        self._paths: dict[AssetId | None, str] = {}
        self._added: set[AssetId] = set()
        self._pieces = Pieces()
        self._zip = zipfile.ZipFile(self._pieces, "w")

    async def add(self, member: Member) -> None:
        """Add an asset at the top level; a folder with everything in it, at any depth."""
        try:
            await self._add_all(member)
        except BaseException:
            self._zip.fp = None  # else it would write the list of entries when it is collected
            raise

    async def _add_all(self, member: Member) -> None:
        await self._add("", member)
        if not member.is_folder:
            return
        async for folder, page in self._folders.below(self._user_id, member.id):
            for each in page:
                await self._add(inside(self._paths[folder], MAX_ZIPPED), each)

    async def finish(self) -> None:
        """Write the list of entries, which ends a zip."""
        await asyncio.to_thread(self._zip.close)  # 100,000 entries take 0.3 s
        rest = self._pieces.take()
        for start in range(0, len(rest), PIECE):
            await self._send(rest[start : start + PIECE])

    async def _add(self, folder: str, member: Member) -> None:
        if member.id in self._added:
            return
        self._added.add(member.id)
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
            content = await self._ledger.open_content(Digest(digest), info.file_size)
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
    info.file_size = asset["size"]  # else a large entry would not be ZIP64
    info.external_attr = attributes
    info.compress_type = zipfile.ZIP_DEFLATED
    info._compresslevel = 0  # type: ignore[attr-defined]  # `compress_level` needs Python 3.13
    return info
