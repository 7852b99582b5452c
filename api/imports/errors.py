"""Errors of the source of an import."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asset_ledger.ledger.errors import LedgerError


class SourceError(LedgerError):
    """The source of an import cannot be read, or is damaged; the message says where."""


@contextmanager
def reading(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn these errors, raised while a file is read, into SourceError. So is a pipe or a device,
    for which a reader would wait."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise SourceError(f"{path} cannot be read: it is not a file")
    try:
        yield
    except kinds as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is damaged"
        raise SourceError(f"{path} cannot be read: {reason}") from error
