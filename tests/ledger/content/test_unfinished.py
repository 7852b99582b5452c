"""Files of an unfinished upload whose disk fails while its state is stored."""

import errno
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asset_ledger.ledger.content import unfinished
from asset_ledger.ledger.content.unfinished import UnfinishedUpload, UploadState, find_unfinished
from asset_ledger.ledger.errors import StorageFailedError
from asset_ledger.ledger.ids import AssetId, digest_of
from asset_ledger.ledger.storage.files import write_durably

CONTENT = b"first " * 20_000 + b"second" * 20_000
HALF = len(CONTENT) // 2
NOW = datetime(2026, 1, 1, tzinfo=UTC)
STORE = write_durably


def fails_before(path: Path, text: bytes) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def fails_after(path: Path, text: bytes) -> None:
    """The state has its name already when the folder cannot be synced."""
    STORE(path, text)
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def append(upload: UnfinishedUpload, content: bytes) -> None:
    """Append as one request does, which cuts off what it could not store."""
    try:
        upload.write([content])
        upload.sync(NOW)
    finally:
        upload.discard()


@pytest.fixture
def half(tmp_path: Path) -> UnfinishedUpload:
    state = UploadState(
        id=AssetId("a" * 32),
        user_id="1",
        size=len(CONTENT),
        declared={},
        changed_at=NOW.timestamp(),
    )
    upload = UnfinishedUpload(tmp_path, state)
    upload.save()
    append(upload, CONTENT[:HALF])
    return upload


def found_in(folder: Path) -> UnfinishedUpload:
    (found,) = find_unfinished(folder)
    assert isinstance(found, UnfinishedUpload)
    return found


@pytest.mark.parametrize("failing", [fails_before, fails_after])
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("killed", [False, True])
def test_an_upload_goes_on_after_its_state_was_not_stored(
    half: UnfinishedUpload,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: object,
    restarted: bool,
    killed: bool,
) -> None:
    monkeypatch.setattr(unfinished, "write_durably", failing)
    with pytest.raises(StorageFailedError):
        append(half, CONTENT[HALF:])
    monkeypatch.setattr(unfinished, "write_durably", STORE)

    found = found_in(tmp_path) if restarted else half
    assert found.state.offset in (HALF, len(CONTENT))
    if killed and not found.is_whole:
        found.write([CONTENT[HALF : HALF + 10]])
        shutil.copytree(tmp_path, tmp_path / "as killed")
        found.discard()
        found = found_in(tmp_path / "as killed")
    if not found.is_whole:
        append(found, CONTENT[found.state.offset :])
    staged = found.complete()

    assert staged is not None
    assert (staged.digest, staged.size) == (digest_of(CONTENT), len(CONTENT))
