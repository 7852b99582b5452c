"""Store contents of a backup again: in a data folder, or through the server that has it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from asset_ledger.ledger.content.offline import OfflineContents
from asset_ledger.ledger.errors import DigestMismatchError, FolderLockedError, LedgerError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.object_store import split_url

if TYPE_CHECKING:
    from asset_ledger.api.backend import Backend
    from asset_ledger.api.backup.files import BackupFolder
    from asset_ledger.api.sdk.content import UploadContent

Outcomes = Mapping[str, str | None]
"""By digest: why a content was not stored again; None if it was."""


async def repair(folder: Path, source: str, digests: Sequence[str]) -> Outcomes:
    """Store these contents again, as the backups in a folder or a store have them.

    Raises SourceError.
    """
    from asset_ledger.api.backend import open_backend
    from asset_ledger.api.backup.remote import open_backups
    from asset_ledger.api.cli.flags import settings_of

    settings = settings_of(folder)
    with open_backups(source) as backups:
        backups.open_contents()
        try:
            async with open_backend(settings) as backend:
                absent = {} if settings.content_url else _in_stores(folder, digests)
                return {
                    each: absent.get(each) or await _outcome(backups, each, backend)
                    for each in digests
                }
        except FolderLockedError as locked:
            return {each: await _outcome(backups, each, (folder, locked)) for each in digests}


def _in_stores(folder: Path, digests: Sequence[str]) -> Outcomes:
    """Return why contents in object stores cannot be stored again without `content_url`."""
    with closing(OfflineContents(DataFolder(folder).content)) as contents:
        urls = {each: contents.url_of(Digest(each)) for each in digests}
    return {
        each: f"it is in the store {split_url(url)[0]}: set content_url to it"
        for each, url in urls.items()
        if url is not None
    }


async def _outcome(
    backups: "BackupFolder", digest: str, target: "Backend | tuple[Path, FolderLockedError]"
) -> str | None:
    try:
        async with _content(backups, Digest(digest)) as content:
            if isinstance(target, tuple):
                await _send(*target, digest, content)
            else:
                await _store(target, digest, content)
    except FileNotFoundError:
        return "the backup does not have it"
    except DigestMismatchError:
        return "the backup has other bytes, too"
    except (LedgerError, OSError) as error:
        return str(error)
    return None


@asynccontextmanager
async def _content(backups: "BackupFolder", digest: Digest) -> AsyncIterator["UploadContent"]:
    """Open a content of a backup. Raises FileNotFoundError, CorruptLogError, SourceError."""
    from asset_ledger.api.sdk.content import opened

    with closing(OfflineContents(backups.content)) as contents:
        packed = contents.packed([digest])
    file = backups.content.object(digest)
    large = file if file.exists() else _each(backups.large.pieces(digest))
    async with opened(packed.get(digest, large)) as content:
        yield content


async def _each(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces of an iterator that blocks."""
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece


async def _store(backend: "Backend", digest: str, content: "UploadContent") -> None:
    stage = backend.ledger.stage()
    try:
        async for piece in content.chunks():
            await stage.write(piece)
        staged = await stage.finish()
        if staged.digest != digest:
            raise DigestMismatchError("it has other bytes")
        await backend.scrub.repair(staged)
    finally:
        await stage.discard()


async def _send(
    folder: Path, locked: FolderLockedError, digest: str, content: "UploadContent"
) -> None:
    from asset_ledger.api.sdk.form import raw_body
    from asset_ledger.api.sdk.holder import call_holder

    body, path = partial(raw_body, content), f"/api/contents/{digest}"
    await call_holder(folder, locked, lambda server: server.request("PUT", path, body=body))
