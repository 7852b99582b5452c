"""Write assets to files, in the folders that they have in the ledger.

Promise: whatever the names of assets and folders, no file is written outside of the target folder,
and none replaces another of the same command.
"""

import asyncio
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from asset_ledger.api.cli.naming import asset_named, is_folder
from asset_ledger.api.cli.options import Listing
from asset_ledger.api.cli.output import FileOutcomes, echo, echo_counts
from asset_ledger.api.cli.progress import ProgressBar
from asset_ledger.api.cli.showing import documents
from asset_ledger.api.http.entry_names import EntryNames, inside
from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.ledger.errors import ContentDamagedError, DigestMismatchError, RefusedError

WRITTEN, KNOWN, NOT_WRITTEN, DAMAGED = "written", "known", "not written", "damaged"

_ALL: Final = Listing(limit=None, as_json=True, ndjson=False)


class Wanted(NamedTuple):
    """An asset, and its path below the target."""

    asset: Document
    path: str


class Naming:
    """The paths of the assets that a command names. Each is safe, and different from the others."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._names = gateway, EntryNames()
        self._above: dict[str, str] = {}
        self._is_of_job = False
        self.files: list[Wanted] = []

    async def add(self, text: str) -> None:
        """Add an asset, a folder with all it contains. Raises ClickException if there is none."""
        await self._add(await asset_named(self._gateway, text), "")

    async def add_job(self, job_id: str) -> None:
        """Add the assets of a job in their folders. Raises UnknownJobError."""
        await self._gateway.job(job_id)
        self._is_of_job = True
        async for asset in documents(self._gateway.page, [("job_id", job_id)], "assets", _ALL):
            if not is_folder(asset):
                await self._add(asset, await self._prefix(asset))

    def target(self, output: str | None) -> Callable[[Wanted], Path]:
        """Return the function from an asset to its file: `output` itself, or below that folder.

        The files of a job are in a folder, however many they are.
        """
        top = Path(output or ".")
        single = len(self.files) == 1 and "/" not in self.files[0].path and not self._is_of_job
        if output and single and not output.endswith("/") and not top.is_dir():
            return lambda wanted: top
        return lambda wanted: top / wanted.path

    async def _add(self, asset: Document, prefix: str) -> None:
        path = self._names.take(prefix, asset["name"])
        if not is_folder(asset):
            self.files.append(Wanted(asset, path))
            return
        query = [("parent_id", asset["id"])]
        async for each in documents(self._gateway.page, query, "assets", _ALL):
            await self._add(each, inside(path))

    async def _prefix(self, asset: Document) -> str:
        """Return the path of the folder of an asset, from home."""
        folder_id = asset["parent_id"]
        if folder_id == asset["user_id"]:
            return ""
        if folder_id not in self._above:
            folder = await self._gateway.find(folder_id)
            path = self._names.take(await self._prefix(folder), folder["name"])
            self._above[folder_id] = inside(path)
        return self._above[folder_id]


@dataclass
class Downloads:
    """Writes files, and prints the outcome of each."""

    gateway: Gateway
    target: Callable[[Wanted], Path]
    force: bool
    printed: FileOutcomes
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def exit_code(self) -> int:
        """1 if a content was damaged, 2 if another file was not written, else 0."""
        return 1 if self.counts[DAMAGED] else 2 if self.counts[NOT_WRITTEN] else 0

    async def write(self, files: Sequence[Wanted], concurrency: int) -> None:
        """Write files, `concurrency` at a time. Raises UnavailableError."""
        total, done = sum(each.asset["size"] for each in files), 0
        rest = iter(files)

        async def write_next(bar: ProgressBar) -> None:
            nonlocal done
            for wanted in rest:
                await self._write(wanted)
                done += wanted.asset["size"]
                bar("get", done, total)

        try:
            with closing(ProgressBar(in_bytes=True)) as bar:
                async with asyncio.TaskGroup() as group:
                    for _ in range(concurrency):
                        group.create_task(write_next(bar))
        except BaseExceptionGroup as failures:  # the others follow from the first
            raise failures.exceptions[0] from None
        finally:
            self.printed.finish(self.counts)
            if self.counts.total() != 1:
                echo_counts(self.counts)
        if not self.counts:
            echo("no files", err=True)

    async def _write(self, wanted: Wanted) -> None:
        path, asset = self.target(wanted), wanted.asset
        try:
            outcome = await self._outcome(path, asset)
        except (ContentDamagedError, DigestMismatchError) as error:
            self._refuse(DAMAGED, path, str(error))
        except RefusedError as error:
            self._refuse(NOT_WRITTEN, path, str(error))
        except OSError as error:
            self._refuse(NOT_WRITTEN, path, str(error.strerror or error))
        else:
            self.counts[outcome] += 1
            document = {**asset, "outcome": outcome, "path": str(path)}
            self.printed.add(document, f"{outcome:<7}  {asset['id']}  {path}")

    async def _outcome(self, path: Path, asset: Document) -> str:
        """Write a file, unless it has the bytes. Raises FileExistsError for other bytes."""
        if await asyncio.to_thread(os.path.lexists, path):
            if await asyncio.to_thread(_digest_of, path) == asset["digest"]:
                return KNOWN
            if not self.force:
                raise FileExistsError("it has other bytes: --force replaces it")
        path.parent.mkdir(parents=True, exist_ok=True)
        await Asset.of(asset, self.gateway).save(path)
        return WRITTEN

    def _refuse(self, outcome: str, path: Path, reason: str) -> None:
        self.counts[outcome] += 1
        echo(f"{outcome}: {path}: {reason}", err=True)


async def print_content(gateway: Gateway, texts: Iterable[str]) -> int:
    """Write contents to standard output, one after the other. Return the exit code."""
    for text in texts:
        asset = Asset.of(await asset_named(gateway, text), gateway)
        try:
            async for piece in asset.chunks():
                sys.stdout.buffer.write(piece)
        except (ContentDamagedError, DigestMismatchError) as error:
            echo(f"asset-ledger: {text}: {error}", err=True)
            return 1
    return 0


def _digest_of(path: Path) -> str | None:
    """Return the digest of a file, None if it has none that can be compared."""
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except (FileNotFoundError, IsADirectoryError):
        return None
