"""NodeTool's folder of contents: `<folder>/<id>.<ext>`.

Promise: a content is a regular file in that folder. No link is followed, and no text from the
database becomes a path.
"""

import mimetypes
import os
import stat
from collections import defaultdict
from pathlib import Path
from typing import Final

from asset_ledger.api.imports.errors import SourceError

_EXTENSIONS: Final = {"image/jpeg": (".jpg", ".jpeg"), "audio/mpeg": (".mp3",)}


class AssetFiles:
    """The files of the folder when it was listed, by the id before the first dot."""

    def __init__(self, folder: Path) -> None:
        """Raises SourceError if the folder cannot be listed."""
        self._paths: dict[str, list[Path]] = defaultdict(list)
        try:
            for path in folder.iterdir():
                self._paths[_key(path.name.partition(".")[0])].append(path)
        except OSError as error:
            raise SourceError(f"{folder} cannot be listed: {error.strerror}") from error

    def find(self, asset_id: str, content_type: str | None) -> Path | None:
        """Return the file of an asset. Of several: a file whose ending fits the content type, else
        the newest, because NodeTool keeps the old file when the type changes.
        """
        found = [path for path in self._paths.get(_key(asset_id), ()) if _is_readable(path)]
        fitting = _endings(content_type)

        def rank(path: Path) -> tuple[bool, int]:
            return path.suffix.lower() in fitting, _age(path)

        return max(found, key=rank, default=None)


def _is_readable(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode) and os.access(path, os.R_OK)
    except OSError:
        return False


def _key(asset_id: str) -> str:
    return asset_id.replace("-", "").lower()


def _age(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0


def _endings(content_type: str | None) -> tuple[str, ...]:
    kind = (content_type or "").partition(";")[0].strip().lower()
    return (*_EXTENSIONS.get(kind, ()), *mimetypes.guess_all_extensions(kind, strict=False))
