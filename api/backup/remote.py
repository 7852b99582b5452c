"""Backups in an object store, with the layout of a folder of backups.

Promise: an object is replaced by a longer one that begins alike, or is new: a pack, then the places
in it, then the files of the backup, and its manifest last. So a killed backup damages none.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from asset_ledger.api.backup.files import Backup, BackupFolder
from asset_ledger.api.backup.objects import LargeObjects, Objects
from asset_ledger.api.export.files import MANIFEST
from asset_ledger.ledger.content.copying import PlacesFile
from asset_ledger.ledger.content.packs import pack_numbers
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.folder_lock import hold_backup_lock

_FETCHED: Final = 8
"""Packs that a restore has in its scratch folder."""


@contextmanager
def open_backups(dest: str) -> Iterator[BackupFolder]:
    """Open a folder of backups, or s3://bucket/prefix. Raises SourceError."""
    if "://" not in dest:
        yield BackupFolder(Path(dest))
        return
    with TemporaryDirectory(prefix="asset-ledger-") as scratch:
        yield RemoteBackups(Objects(dest), Path(scratch), dest.rstrip("/"))


class RemoteContents(ContentFolder):
    """The files of contents in a scratch folder. A pack is fetched when it is first named."""

    def __init__(self, objects: Objects, scratch: Path, log: Path) -> None:
        super().__init__(scratch / "content", log)
        self._objects, self._scratch = objects, scratch
        self._fetched: list[Path] = []
        self.packs.mkdir(parents=True)

    def pack(self, number: int) -> Path:
        """Return the file of a pack. Only the last ones that were fetched stay."""
        path = self.file(number)
        if path not in self._fetched and self.is_stored(path):
            self._objects.fetch(self.name(path), path)
            self._fetched.append(path)
            if len(self._fetched) > _FETCHED:
                self._fetched.pop(0).unlink(missing_ok=True)  # open ones can still be read
        return path

    def fetch_to_write(self, number: int) -> None:
        """Fetch a pack that is appended to: it stays until it is stored."""
        path = self.file(number)
        self._objects.fetch(self.name(path), path)

    def file(self, number: int) -> Path:
        """Return the file of a pack, which may not be here."""
        return super().pack(number)

    def is_stored(self, path: Path) -> bool:
        return not path.exists() and self._objects.size(self.name(path)) is not None

    def name(self, path: Path) -> str:
        """Return the name of the object of a file."""
        return path.relative_to(self._scratch).as_posix()


class RemoteBackups(BackupFolder):
    """Backups in an object store. The files in use are in a scratch folder."""

    repairs = False  # it would fetch each pack

    def __init__(self, objects: Objects, scratch: Path, name: str) -> None:
        super().__init__(scratch, name)
        self._objects = objects
        self.content: RemoteContents = RemoteContents(objects, scratch, self.places)
        self.large = LargeObjects(objects, self.content, scratch)
        self._first = 1  # of the packs that this process writes

    @contextmanager
    def held(self, data_dir: Path | None = None) -> Iterator[None]:
        """Lock out other backups of this data folder. Raises FolderLockedError."""
        with nullcontext() if data_dir is None else hold_backup_lock(data_dir):
            yield

    def list(self) -> list[Backup]:
        """Return the complete backups, the oldest first. Raises SourceError."""
        for name in self._objects.sizes(f"{self.backups.name}/"):
            if name.endswith(f"/{MANIFEST}"):
                self._objects.fetch(name, self.root / name)
        return super().list()

    def begin(self, number: int) -> None:
        """Make the folder of a new backup, and fetch what it appends to."""
        super().begin(number)
        self.open_contents(last_pack=True)

    def open_contents(self, *, last_pack: bool = False) -> None:
        """Fetch the places of the contents, and the pack to append to."""
        if self._objects.size(self.places.name) is not None:
            self._objects.fetch(self.places.name, self.places)
        if last_pack and (stored := self.pack_sizes()):
            self._first = max(stored)
            self.content.fetch_to_write(self._first)

    def pack_sizes(self) -> dict[int, int]:
        """Return the bytes of each pack."""
        stored = self._objects.sizes(f"{self._name(self.content.packs)}/")
        return {int(Path(name).stem): size for name, size in stored.items()}

    def store(self, places: PlacesFile) -> None:
        """Store the packs that were written, then the places."""
        for number in pack_numbers(self.content):
            if number >= self._first:
                self._put_pack(number)
        self._put_places(places)

    def delete_packs(self, numbers: Iterable[int]) -> None:
        """Delete packs that no place names."""
        names = [self.content.name(self.content.file(number)) for number in numbers]
        if names:
            self._objects.delete(*names)

    def get(self, number: int, name: str) -> Path:
        """Return a file of a backup, fetched if it is not here."""
        path = super().get(number, name)
        if not path.exists():
            self._objects.fetch(self._name(path), path)
        return path

    def release(self, number: int, name: str) -> None:
        """Remove a file from the scratch folder."""
        super().get(number, name).unlink(missing_ok=True)

    def flush(self, places: PlacesFile) -> None:
        """Store the packs that are full, and the places in them."""
        full = pack_numbers(self.content)[:-1]
        for number in full:
            self._put_pack(number)
        if full:
            self._put_places(places)

    def add(self, backup: Backup) -> None:
        """Store the last pack, the places and the files of the backup, its manifest last."""
        super().add(backup)
        with closing(PlacesFile(self.places)) as places:
            self.store(places)
        files = sorted(self.part(backup.number).iterdir(), key=lambda path: path.name == MANIFEST)
        for path in files:
            self._objects.put(self._name(path), path)

    def _put_pack(self, number: int) -> None:
        path = self.content.file(number)
        self._objects.put(self._name(path), path)
        path.unlink()

    def _put_places(self, places: PlacesFile) -> None:
        copy = self.root / "places.copy"
        places.copy(copy)
        self._objects.put(self.places.name, copy)
        copy.unlink()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
