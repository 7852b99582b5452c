"""Errors of thumbnails."""

from asset_ledger.api.contract.errors import UnsupportedTypeError


class DrawerDiedError(Exception):
    """The drawing process ended before it answered: killed from outside, or by the content."""


class UndrawableError(UnsupportedTypeError):
    """No thumbnail can be made of this content; the message says why."""
