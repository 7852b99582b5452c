"""Import an exported ledger into an empty data folder: the same events, byte for byte.

Promise: the folder becomes a ledger only when everything is there, durable, and has the exported
root. A refused import leaves the folder empty. A killed import goes on when it is run again.
"""

import hashlib
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from asset_ledger.api.export.files import CHECKPOINTS, CONTENTS, EVENTS, KEYS
from asset_ledger.api.imports.destinations import pieces_of
from asset_ledger.api.imports.errors import SourceError
from asset_ledger.api.imports.ledger_lines import (
    ContentLine,
    Lines,
    Manifest,
    read_content,
    read_event,
    read_key,
    read_manifest,
    read_note,
)
from asset_ledger.ledger.content.local import LocalContents, open_local_contents
from asset_ledger.ledger.content.offline import OfflineContents
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.asset import content_of
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.domain.ledger import LedgerOpened
from asset_ledger.ledger.errors import DataFolderError, LedgerError, StorageFailedError
from asset_ledger.ledger.ids import Digest, digest_from_hex, digest_of
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.copying import Copied, CopiedLog, KeyRow, NotNextError, finish
from asset_ledger.ledger.merkle.checkpoint import read_checkpoint
from asset_ledger.ledger.merkle.tree import leaf_hash
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.data_folder import UNFINISHED, ContentFolder, DataFolder
from asset_ledger.ledger.storage.files import storage_errors, sync_folder
from asset_ledger.ledger.storage.folder_lock import hold_folder
from asset_ledger.ledger.storage.sqlite import BESIDE

PAGE: Final = 1_000
CONTENTS_AT_ONCE: Final = 100


class ImportedLedger(NamedTuple):
    """Numbers of an import. `has_key`: the data folder has the key that signs checkpoints."""

    events: int
    contents: int
    root: str
    has_key: bool


async def import_ledger(source: Path, data_dir: Path, progress: Progress) -> ImportedLedger:
    """Import the ledger that was exported to `source` into an empty data folder.

    Raises SourceError for an export that is damaged, DataFolderError for a folder in use or not
    empty, StorageFailedError.
    """
    manifest = read_manifest(source)
    with hold_folder(data_dir):
        check_empty(data_dir)
        with _refused_leaves_nothing(data_dir), storage_errors("the ledger was not imported"):
            with closing(CopiedLog(data_dir, Codec())) as log:
                copy = _Copy(source, data_dir, manifest, log)
                contents = await copy.contents(progress)
                copy.events(progress)
                copy.keys()
                copy.checkpoints()
            finish(data_dir)
    has_key = DataFolder(data_dir).key.exists()
    return ImportedLedger(manifest.events, contents, _base64(manifest.root), has_key)


@contextmanager
def _refused_leaves_nothing(data_dir: Path) -> Iterator[None]:
    """Remove the files of a refused import. A full disk is no refusal: the import can go on."""
    try:
        yield
    except StorageFailedError:
        raise
    except LedgerError:
        shutil.rmtree(DataFolder(data_dir).content.root, ignore_errors=True)
        for suffix in (*BESIDE, ""):
            (data_dir / f"{UNFINISHED}{suffix}").unlink(missing_ok=True)
        raise


def check_empty(data_dir: Path, ignored: AbstractSet[str] = frozenset()) -> None:
    """Raise DataFolderError unless the folder is empty, or has an interrupted import.

    `ignored`: names of files that may be there.
    """
    files = DataFolder(data_dir)
    names = {path.name for path in data_dir.iterdir()} - {files.lock.name, files.key.name, *ignored}
    log = {f"{UNFINISHED}{suffix}" for suffix in (*BESIDE, "")}
    if names and not (UNFINISHED in names and names <= {*log, files.content.root.name}):
        raise DataFolderError(f"{data_dir} is not empty: name an empty folder")


def copy_keys(lines: Lines, log: CopiedLog, upto: int | None = None) -> None:
    """Copy idempotency keys; only those whose events end at position `upto` or before, if given.

    Raises SourceError for a key that its events do not name.
    """
    rows = (read_key(lines, line) for line in lines)
    kept = (row for row in rows if upto is None or row.last <= upto)
    while page := list[KeyRow](islice(kept, PAGE)):
        try:
            log.copy_keys(page)
        except NotNextError as error:
            raise lines.wrong(error) from error


class _Copy:
    """One import, from its first file to its last."""

    def __init__(self, source: Path, data_dir: Path, manifest: Manifest, log: CopiedLog) -> None:
        files = DataFolder(data_dir, log=UNFINISHED)
        self._source = source
        self._files = files.content
        self._manifest, self._log = manifest, log
        self._codec = Codec()
        self._absent = dict[Digest, int]()

    def _lines(self, name: str) -> Lines:
        return Lines(self._source, name, self._manifest)

    async def contents(self, progress: Progress) -> int:
        """Import the contents. They come first, so that no event lacks its content."""
        lines, small = self._lines(CONTENTS), list[tuple[Digest, bytes]]()
        async with _opened(self._files.root) as contents:
            with closing(Packs(self._files)) as packs:
                for number, line in enumerate(lines, 1):
                    small += await self._content(lines, read_content(lines, line), contents)
                    if len(small) >= CONTENTS_AT_ONCE:
                        self._pack(packs, small)
                        small = []
                    progress("importing contents", number, len(lines))
                self._pack(packs, small)
        return len(lines)

    def _pack(self, packs: Packs, small: Sequence[tuple[Digest, bytes]]) -> None:
        contents = dict(small)
        self._log.keep_places(packs.append(contents, self._log.places(list(contents))))

    async def _content(
        self, lines: Lines, listed: ContentLine, contents: LocalContents
    ) -> Sequence[tuple[Digest, bytes]]:
        """Import a content. Return it if it is small, to be packed with others."""
        if listed.small is not None:
            staged = Staged(digest_of(listed.small), len(listed.small), b"", listed.small)
            _check(lines, listed, staged)
            return [(staged.digest, listed.small)]
        if _is_published(self._files.object(listed.digest), listed):
            return []
        stage = contents.stage()
        try:
            async for piece in pieces_of(ContentFolder(self._source).object(listed.digest)):
                await stage.write(piece)
            staged = await stage.finish()
            _check(lines, listed, staged)
            await contents.publish(staged)
        finally:
            await stage.discard()
        return [] if staged.small is None else [(staged.digest, staged.small)]

    def events(self, progress: Progress) -> None:
        """Import all events, except those that an interrupted import has copied already."""
        lines, known, page = self._lines(EVENTS), self._log.head().position, list[Copied]()
        with closing(OfflineContents(self._files)) as contents:
            for position, line in enumerate(lines, 1):
                copied = read_event(lines, line, position, self._codec)
                if position == 1:
                    self._check_log(lines, copied.event)
                if position <= known:
                    self._check_known(position, copied)
                    continue
                page.append(copied)
                if len(page) == PAGE:
                    self._append(lines, page, contents)
                    page = []
                    progress("importing events", position, len(lines))
            if page:
                self._append(lines, page, contents)
                progress("importing events", len(lines), len(lines))
        self._check_root(lines)
        for digest, position in self._absent.items():
            if not self._log.collected(digest):
                raise lines.wrong(f"{digest} is not among the contents", position)

    def _append(self, lines: Lines, page: Sequence[Copied], contents: OfflineContents) -> None:
        first = self._log.head().position + 1
        sizes = contents.sizes([digest for copied in page if (digest := content_of(copied.event))])
        for position, (_, event, _) in enumerate(page, first):
            digest = content_of(event)
            if digest is not None and digest not in sizes:
                self._absent.setdefault(digest, position)
            elif digest is not None and sizes[digest] != getattr(event, "size", None):
                raise lines.wrong(f"{digest} is not among the contents", position)
        try:
            self._log.copy(page)
        except NotNextError as error:
            raise lines.wrong(error, error.position) from error

    def keys(self) -> None:
        """Import the idempotency keys. Their events come before them."""
        copy_keys(self._lines(KEYS), self._log)

    def checkpoints(self) -> None:
        """Import the signed checkpoints. Each root has to be that of the imported events."""
        lines = self._lines(CHECKPOINTS)
        for line in lines:
            size, note = read_note(lines, line, self._manifest.events)
            if read_checkpoint(note).root != self._log.root(size):
                raise lines.wrong(f"it is not a checkpoint of the first {size:,} events")
            self._log.keep_checkpoint(size, note)

    def _check_log(self, lines: Lines, event: Event) -> None:
        if not isinstance(event, LedgerOpened) or event.log_id != self._manifest.log_id:
            raise lines.wrong("it does not open the log that the manifest names")

    def _check_known(self, position: int, copied: Copied) -> None:
        if self._log.leaf_hash(position) != leaf_hash(copied.leaf):
            raise SourceError(f"{self._source} is not the export that was interrupted here")

    def _check_root(self, lines: Lines) -> None:
        """Raise SourceError unless the log has the size and the root of the manifest."""
        size, root = self._log.head().position, self._log.root(self._log.head().position)
        if (size, root) != (self._manifest.events, self._manifest.root):
            right = f"{self._manifest.events:,} events with the root {_base64(self._manifest.root)}"
            raise lines.wrong(f"there are {size:,} with the root {_base64(root)}, not {right}")


@asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[LocalContents]:
    contents = await open_local_contents(folder)
    try:
        yield contents
    finally:
        await contents.close()


def _is_published(file: Path, listed: ContentLine) -> bool:
    """Return whether an interrupted import has published this content, and make that durable."""
    if not file.is_file() or file.stat().st_size != listed.size:
        return False
    with file.open("rb") as opened:
        if digest_from_hex(hashlib.file_digest(opened, "sha256").hexdigest()) != listed.digest:
            return False  # it was damaged since: import it again
    for folder in file.parents[:3]:
        sync_folder(folder)  # the interrupted import may have died before this
    return True


def _check(lines: Lines, listed: ContentLine, staged: Staged) -> None:
    if (listed.digest, listed.size) != (staged.digest, staged.size):
        raise lines.wrong(f"{listed.digest} has other bytes: {staged.size:,} of {staged.digest}")


def _base64(hashed: bytes) -> str:
    return b64encode(hashed).decode()
