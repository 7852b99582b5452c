"""What is to be imported, and cannot be."""

from asset_ledger.ledger.errors import LedgerError


class SourceError(LedgerError):
    """What is to be imported cannot be read as what it should be; the message says where."""
