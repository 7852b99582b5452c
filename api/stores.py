"""What a server stores beside its ledger: webhooks, sessions of browsers, secrets of S3 clients."""

from typing import Protocol

from asset_ledger.api.hooks.store import HookFile, HookStore
from asset_ledger.api.s3_keys import S3KeyFile, S3Keys
from asset_ledger.api.sessions import SessionFile, SessionStore
from asset_ledger.ledger.storage.data_folder import DataFolder


class Stores(Protocol):
    """The stores of one ledger."""

    def hooks(self) -> HookStore:
        """Return where webhooks are stored."""

    def sessions(self) -> SessionStore:
        """Return where sessions of browsers are stored."""

    def s3_keys(self) -> S3Keys:
        """Return where the secrets of S3 clients are stored."""


class FolderStores:
    """Files of a data folder. See `Stores` for the methods."""

    def __init__(self, files: DataFolder) -> None:
        self._files = files

    def hooks(self) -> HookStore:
        """Return the file of the webhooks."""
        return HookFile(self._files.hooks)

    def sessions(self) -> SessionStore:
        """Return the file of the sessions."""
        return SessionFile(self._files.sessions)

    def s3_keys(self) -> S3Keys:
        """Return the file of the secrets."""
        return S3KeyFile(self._files.s3_keys)
