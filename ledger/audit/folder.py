"""The audit of a data folder, its log and its contents, from the stored bytes alone.

It only reads the folder, also beside a running server, and keeps its notes in a scratch folder.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from asset_ledger.ledger.audit.contents import ContentAudit
from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.audit.log import LogAudit
from asset_ledger.ledger.audit.rows import AuditRows
from asset_ledger.ledger.domain.ledger import KeyRotated
from asset_ledger.ledger.errors import SigningKeyError
from asset_ledger.ledger.log.key_rotation import check_key_file
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.data_folder import DataFolder

NOTES: Final = "notes.db"


class Audit:
    """An audit of a data folder, up to its last event when the audit began."""

    def __init__(
        self,
        files: DataFolder,
        scratch: Path,
        given: Sequence[str] = (),
        *,
        reads_stores: bool = True,
    ) -> None:
        """`given`: checkpoints that the caller kept. `scratch`: a folder for the audit's notes.
        `reads_stores`: read the contents in object stores, too.

        Raises CorruptLogError if there is no log, ProofError for a checkpoint of another log.
        """
        self._files, self._reads_stores = files, reads_stores
        self._rows = AuditRows(self._files.log, scratch / NOTES)
        try:
            self._log = LogAudit(self._rows, given)
        except BaseException:
            self._rows.close()
            raise
        self.contents = 0

    @property
    def position(self) -> int:
        """The position of the last event that is audited."""
        return self._log.upto

    @property
    def root(self) -> bytes:
        """The Merkle root of the events that were read."""
        return self._log.root

    def findings(self, progress: Progress) -> Iterator[Finding]:
        """Read everything, and yield what is wrong as it is found."""
        contents = ContentAudit(
            self._files.content, self._rows, progress, reads_stores=self._reads_stores
        )
        for part in (
            self._log.findings(progress),
            self._keys(),
            contents.findings(),
            self._rows.findings(self.position),
        ):
            try:
                yield from part
            except sqlite3.DatabaseError as error:  # the other parts may be readable
                yield Finding("ledger.db", "as a file", f"cannot be read: {error}")
            yield from self._rows.unreadable()
        self.contents = contents.read

    def _keys(self) -> Iterator[Finding]:
        """Yield a finding unless the key in force can sign. A server may rotate meanwhile.

        Tokens are events: a file of tokens, which earlier versions had, is a finding too.
        """
        if (self._files.root / "access.db").exists():
            yield Finding("access.db", "as a file", "no event explains its tokens: delete it")
        key = self._log.key_in_force
        if not key or self._rows.is_rotated_after(self.position, KeyRotated.TOPIC):
            return
        try:
            check_key_file(self._files.key, key)
        except SigningKeyError as error:
            yield Finding("checkpoint.key", "as a file", str(error))

    def close(self) -> None:
        """Close the files."""
        self._rows.close()
