"""Copy a whole ledger: the same events, byte for byte, with their contents, keys and checkpoints.

Promise: servers refuse the copy until everything is there, durable, and verified. A killed copy
goes on when it is run again. The source is only read.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from asset_ledger.api.backup.create import contents_of
from asset_ledger.api.backup.restore import parts_of
from asset_ledger.api.copying.ends import CopySource, CopyTarget
from asset_ledger.api.copying.objects import CopiedObjects
from asset_ledger.api.export.ledger import checked_leaf
from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.audit.folder import Audit
from asset_ledger.ledger.content.copying import (
    ContentCopier,
    LargeContents,
    LargeFiles,
    Missing,
)
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.domain.ledger import ContentCollected
from asset_ledger.ledger.errors import CorruptLogError, DataFolderError, FolderLockedError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.copying import Copied, NotNextError, keys_upto
from asset_ledger.ledger.log.key_rotation import is_private_half, keys_in_force
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.reader import PAGE
from asset_ledger.ledger.merkle.tiles import Tiles
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.files import storage_errors, write_durably
from asset_ledger.ledger.storage.object_store import ObjectStore


class CopiedLedger(NamedTuple):
    """Numbers of a copy. `contents` and `size`: what this run copied; `size` in bytes.

    `findings`: what is wrong; without any, servers may use the copy.
    """

    events: int
    contents: int
    size: int
    root: str
    has_key: bool
    findings: Sequence[Finding]


def copy_ledger(
    source: CopySource, target: CopyTarget, store: ObjectStore | None, progress: Progress
) -> CopiedLedger:
    """Copy a ledger, and verify the copy. Large contents go to the store, if there is one.

    If a server has the source, copy its events as of now, then raise FolderLockedError. Raises
    DataFolderError for a target that has another ledger, or more events, CorruptLogError,
    PoisonEventError, StorageFailedError.
    """
    with storage_errors("the ledger was not copied"), TemporaryDirectory() as scratch:
        copy = _LedgerCopy(source, target, store, progress)
        try:
            with source.frozen():
                return copy.run(Path(scratch))
        except FolderLockedError as locked:
            copied = copy.events()
            raise FolderLockedError(
                f"{locked}. {copied:,} events were copied meanwhile: stop that process, and run the"
                " command again for the rest"
            ) from locked


class _LedgerCopy:
    """One copy, from its first event to its verification."""

    def __init__(
        self, source: CopySource, target: CopyTarget, store: ObjectStore | None, progress: Progress
    ) -> None:
        self._source, self._target, self._progress = source, target, progress
        self._codec = Codec()
        log_id = read_identity(source.log, self._codec).log_id
        self._known = self._checked_head()
        self._lost = dict[Digest, Missing]()
        self._large: LargeContents = LargeFiles(target.files.content)
        if store is not None:
            self._large = CopiedObjects(store, log_id, source.contents, target.log)
        self._copier = ContentCopier(source.contents, target.small, self._large, repairs=False)

    def _checked_head(self) -> int:
        """Return the end of the target, which has the first events of the source, or none.

        Raises DataFolderError for any other target.
        """
        name, log = self._target.name, self._target.log
        known, size = log.head().position, self._source.log.head().position
        if known > size:
            raise DataFolderError(
                f"{name} has {known:,} events, and {self._source.name} only {size:,}: name a target"
                " that is empty, or that an interrupted copy left"
            )
        if known and log.root(known) != Tiles(self._source.log).root(known):
            raise DataFolderError(f"{name} has another ledger: name an empty target")
        return known

    def run(self, scratch: Path) -> CopiedLedger:
        """Copy everything, and verify it."""
        upto = self.events()
        self._keys_and_checkpoints(upto)
        self._webhooks_and_secrets()
        has_key = self._key()
        findings = [*self._lost_contents(), *self._audit(scratch, upto, has_key=has_key)]
        self._target.is_verified = not findings
        root = b64encode(self._target.log.root(upto)).decode()
        return CopiedLedger(upto, self._copier.copied, self._copier.size, root, has_key, findings)

    def events(self) -> int:
        """Copy the events that the target lacks, and before them their contents.

        Return the position of the last one.
        """
        log, upto = self._target.log, self._source.log.head().position
        for page in self._pages(log.head().position, upto):
            for part in parts_of(page):
                self._append(part)
                self._progress("copying events", log.head().position, upto)
        return upto

    def _pages(self, after: int, upto: int) -> Iterator[list[Copied]]:
        """Yield the stored events after a position, whose hashes are checked."""
        log = self._source.log
        while stored := log.read(after, PAGE, upto=upto):
            hashes = log.leaf_hashes(after, len(stored))
            if len(hashes) != len(stored):
                raise CorruptLogError(f"the log lacks leaves after event {after:,}")
            yield [
                Copied(each, self._codec.decode(each).event, checked_leaf(each, hashed))
                for each, hashed in zip(stored, hashes, strict=True)
            ]
            after = stored[-1].id
        if after != upto:
            raise CorruptLogError(f"the log ends at event {after:,}, not at {upto:,}")

    def _append(self, page: Sequence[Copied]) -> None:
        self._contents(page)
        try:
            self._target.log.copy(page)
        except NotNextError as error:
            raise CorruptLogError(f"event {error.position:,} {error}: verify the source") from error
        if isinstance(collected := page[-1].event, ContentCollected):
            for digest in collected.digests:
                self._large.delete(digest)
            self._target.log.forget(collected.digests)

    def _contents(self, page: Sequence[Copied]) -> None:
        named = contents_of(Recorded(0, each.event) for each in page)
        self._lost |= {lost.digest: lost for lost in self._copier.copy(named)}

    def _keys_and_checkpoints(self, upto: int) -> None:
        source, log = self._source.log, self._target.log
        keys = keys_upto(source, upto)
        while page := list(islice(keys, PAGE)):
            log.keep_keys(page)
        size = 0
        while notes := source.checkpoints(size, PAGE):
            kept = dict(log.checkpoints(size, PAGE))
            for size, note in notes:
                if size <= upto and size not in kept:
                    log.keep_checkpoint(size, note)

    def _webhooks_and_secrets(self) -> None:
        source, target = self._source.engine.stores(), self._target.engine.stores()
        with closing(source.hooks()) as hooks, closing(target.hooks()) as kept:
            known = {hook.id for hook in kept.load()}
            for hook in hooks.load():
                if hook.id in known:  # an interrupted copy brought it, with an earlier position
                    kept.remove(hook.id)
                kept.add(hook)
        with closing(source.s3_keys()) as secrets, closing(target.s3_keys()) as here:
            for key_id, secret in secrets.all().items() - here.all().items():
                here.keep(key_id, secret)

    def _key(self) -> bool:
        """Copy the key in force. Return whether there is one."""
        in_force = keys_in_force(self._source.log, self._codec)[-1].key
        for text in self._source.key_texts():
            if is_private_half(text, in_force):
                write_durably(self._target.files.key, text)
                self._target.share_key()
                return True
        return False

    def _lost_contents(self) -> Iterator[Finding]:
        """Yield the contents that the source lacks, after a look for those of earlier runs."""
        position = 0
        for page in self._pages(0, self._known):
            self._contents(page)
            position += len(page)
            self._progress("looking for contents", position, self._known)
        for lost in self._lost.values():
            if self._source.contents.collected(lost.digest) is None:
                yield Finding("contents", lost.digest, f"{lost.reason} in the source")

    def _audit(self, scratch: Path, upto: int, *, has_key: bool) -> Iterator[Finding]:
        """Verify the log from its bytes, and compare its root with that of the source."""
        expected = Tiles(self._source.log).root(upto)
        audit = Audit(self._target.audited(scratch), scratch, reads_stores=False)
        with closing(audit):
            for finding in audit.findings(self._progress):
                if has_key or finding.table != "checkpoint.key":
                    yield finding
            if (audit.position, audit.root) != (upto, expected):
                yield Finding("stored_events", str(upto), "has not the root of the source")
