"""NodeTool's folder of contents: `<folder>/<user id>/<id>.<ext>`, in older versions
`<folder>/<id>.<ext>`, and the files outside of it that NodeTool refers to.

Promise: a content is a regular file. In the folder no link is followed, and no text from the
database becomes a path; outside of it only with `follow_external`.
"""

import mimetypes
import os
import stat
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from asset_ledger.api.imports.errors import reading
from asset_ledger.api.imports.nodetool_rows import Item

_EXTENSIONS: Final = {"image/jpeg": (".jpg", ".jpeg"), "audio/mpeg": (".mp3",)}

Listing = Mapping[str, list[Path]]
"""The files of a folder by the id before the first dot."""


class AssetFiles:
    """The files of the folder and of its users' folders, as they were when each was listed."""

    def __init__(self, folder: Path, *, follow_external: bool = False) -> None:
        """Raises SourceError if the folder cannot be listed."""
        self._follow_external = follow_external
        self._flat = _listing(folder)
        self._folders = {path.name: path for paths in self._flat.values() for path in paths}
        self._owned: dict[str, Listing] = {}

    def find(self, item: Item) -> Path | str:
        """Return the file of an asset, or the reason why it has none.

        Of several: the owner's, then a file whose ending fits the content type, else the newest,
        because NodeTool keeps the old file when the type changes. Raises SourceError if the
        owner's folder cannot be listed.
        """
        key, fitting = _key(item.asset_id), _endings(item.fields.get("content_type"))

        def rank(path: Path) -> tuple[bool, int]:
            return path.suffix.lower() in fitting, _age(path)

        named: list[Path] = [*self._of(item.user_id).get(key, ())] or [*self._flat.get(key, ())]
        if readable := [path for path in named if _is_readable(path)]:
            return max(readable, key=rank)
        if item.external:
            return self._external(item.external)
        if named:
            return f"{str(named[0])!a} is a link, or cannot be read"
        return "its file is missing"

    def _of(self, user_id: str) -> Listing:
        if user_id not in self._owned:
            folder = self._folders.get(user_id)
            is_folder = folder is not None and folder.is_dir() and not folder.is_symlink()
            self._owned[user_id] = _listing(folder) if folder is not None and is_folder else {}
        return self._owned[user_id]

    def _external(self, external: str) -> Path | str:
        if not self._follow_external:
            return f"its file lies outside of the folder, at {external!a}: add --follow-external"
        path = Path(external)
        if "\0" not in external and path.is_absolute() and _is_readable(path, follow=True):
            return path
        return f"its file {external!a} is missing, or cannot be read"


def _listing(folder: Path) -> Listing:
    paths: dict[str, list[Path]] = defaultdict(list)
    with reading(folder, OSError):
        for path in folder.iterdir():
            paths[_key(path.name.partition(".")[0])].append(path)
    return paths


def _is_readable(path: Path, *, follow: bool = False) -> bool:
    try:
        return stat.S_ISREG(path.stat(follow_symlinks=follow).st_mode) and os.access(path, os.R_OK)
    except (OSError, ValueError):
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
