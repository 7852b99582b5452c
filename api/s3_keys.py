"""The keys of S3 clients. A key is a token of the ledger: its id, and its text as the secret.

HMAC needs the secret itself, so the server keeps it readable, in `s3-keys.json` (0600) or in the
database. Revoking the token, or its expiry, ends the key.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.storage.files import storage_errors, write_durably


class S3Keys(Protocol):
    """The secrets of S3 clients, by the id of their token."""

    def secret(self, key_id: str) -> str | None:
        """Return the secret of a key; None if it is unknown here. Raises DataFolderError."""

    def find(self, key_id: str) -> str | None:
        """Return a secret that `secret` does not know. Blocks. Raises StorageFailedError."""

    def all(self) -> Mapping[str, str]:
        """Return all secrets by key. Blocks. Raises DataFolderError, StorageFailedError."""

    def keep(self, key_id: str, secret: str) -> None:
        """Add a secret. Blocks. Raises StorageFailedError."""

    def close(self) -> None:
        """Close the store."""


class S3KeyFile:
    """The secrets in a file, which only its owner can read. It is read again once it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._secrets: dict[str, str] = {}

    def secret(self, key_id: str) -> str | None:
        """Return the secret of a key; None if it is unknown. Raises DataFolderError."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return None
        stamp = found.st_ino, found.st_mtime_ns
        if stamp != self._stamp:
            self._secrets, self._stamp = read_secrets(self._path), stamp
        return self._secrets.get(key_id)

    def find(self, key_id: str) -> str | None:
        """Return None: `secret` knows all keys of the file."""
        return None

    def all(self) -> Mapping[str, str]:
        """Return all secrets of the file. Raises DataFolderError."""
        return read_secrets(self._path)

    def keep(self, key_id: str, secret: str) -> None:
        """Add a secret to the file. Raises StorageFailedError."""
        with storage_errors("the secret was not kept"):
            text = json.dumps(read_secrets(self._path) | {key_id: secret})
            write_durably(self._path, text.encode())

    def close(self) -> None:
        """Do nothing: no file is open."""


def read_secrets(path: Path) -> dict[str, str]:
    """Return the secrets by key id; none without the file. Raises DataFolderError."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return {str(key_id): str(secret) for key_id, secret in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise DataFolderError(f"{path} cannot be read: make new keys, or restore it") from error
