"""The keys of S3 clients. A key is a token of the ledger: its id, and its text as the secret.

HMAC needs the secret itself, so the server keeps it readable in `s3-keys.json` (0600). Revoking
the token, or its expiry, ends the key.
"""

import json
import os
from pathlib import Path

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.storage.files import storage_errors, write_durably


class S3Keys:
    """The secrets in a file, by the id of their token. Reads the file again once it changed."""

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


def read_secrets(path: Path) -> dict[str, str]:
    """Return the secrets by key id; none without the file. Raises DataFolderError."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return {str(key_id): str(secret) for key_id, secret in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise DataFolderError(f"{path} cannot be read: make new keys, or restore it") from error


def keep_secret(path: Path, key_id: str, secret: str) -> None:
    """Add a secret to the file, which only its owner can read. Raises StorageFailedError."""
    with storage_errors("the secret was not kept"):
        write_durably(path, json.dumps(read_secrets(path) | {key_id: secret}).encode())
