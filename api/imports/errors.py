"""What is to be imported, and cannot be."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asset_ledger.ledger.errors import LedgerError


class SourceError(LedgerError):
    """What is to be imported cannot be read as what it should be; the message says where."""


@contextmanager
def reading(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Raise SourceError in place of these errors, which keep a file from being read."""
    try:
        yield
    except kinds as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be read: {reason}") from error
