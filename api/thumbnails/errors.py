"""Errors of thumbnails."""

from asset_ledger.api.contract.errors import UnsupportedTypeError


class UndrawableError(UnsupportedTypeError):
    """No thumbnail can be made of this content; the message says why."""
