"""A whole data folder read again, log and contents, by one who believes nothing but the bytes.

It only reads, beside a running server too, and what it notes lies in a folder of its own.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from asset_ledger.ledger.audit.contents import ContentAudit
from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.audit.log import LogAudit
from asset_ledger.ledger.audit.rows import AuditRows
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.data_folder import DataFolder

NOTES: Final = "notes.db"


class Audit:
    """One audit of a data folder, of the events that it had when the audit began."""

    def __init__(self, folder: Path, scratch: Path, given: Sequence[str] = ()) -> None:
        """`given`: checkpoints that somebody kept. Notes are made in the folder `scratch`.

        Raises CorruptLogError for what is no log, ProofError for a checkpoint of another log.
        """
        self._files = DataFolder(folder)
        self._rows = AuditRows(self._files.log, scratch / NOTES)
        try:
            self._log = LogAudit(self._rows, given)
        except BaseException:
            self._rows.close()
            raise
        self.contents = 0

    @property
    def position(self) -> int:
        """The last event that is audited."""
        return self._log.upto

    @property
    def root(self) -> bytes:
        """The root over these events, once they were read."""
        return self._log.root

    def findings(self, progress: Progress) -> Iterator[Finding]:
        """Read everything, and tell what is wrong, as it is found."""
        contents = ContentAudit(self._files.content, self._rows.note_content, progress)
        try:
            yield from self._log.findings(progress)
            yield from contents.findings()
            yield from self._rows.findings(self.position)
        except sqlite3.Error as error:  # what is torn cannot be read to its end
            yield Finding("ledger.db", "as a file", str(error))
        self.contents = contents.read

    def close(self) -> None:
        """Let go of the files."""
        self._rows.close()
