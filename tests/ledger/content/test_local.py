"""Contents in a local folder: where they are stored, and what remains after a failure."""

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.content.packs import pack_numbers, records_in
from asset_ledger.ledger.content.store import SMALL, Staged
from asset_ledger.ledger.errors import CorruptLogError, DiskFullError, StorageFailedError
from asset_ledger.ledger.ids import digest_of
from asset_ledger.ledger.storage.data_folder import ContentFolder
from tests.contracts.content_store import (
    MIB,
    ContentStoreContract,
    PackingStore,
    StoreFactory,
    content,
    fetch,
    keep,
    pieces,
    publish,
    read,
    staged,
)


async def open_store(folder: Path) -> PackingStore:
    """Open the contents in this folder, with their packed file."""
    return PackingStore(await open_local_contents(folder), folder)


class TestLocalContents(ContentStoreContract):
    @pytest.fixture
    def store_factory(self, tmp_path: Path) -> StoreFactory:
        return lambda: open_store(tmp_path / "content")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "content"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[PackingStore]:
    opened = await open_store(folder)
    yield opened
    await opened.close()


def objects(folder: Path) -> list[Path]:
    return [path for path in (folder / "objects").rglob("*") if path.is_file()]


def arriving(folder: Path) -> list[Path]:
    return list((folder / "tmp").iterdir())


def packed(folder: Path) -> list[tuple[str, int]]:
    files = ContentFolder(folder)
    packs = [files.pack(number) for number in pack_numbers(files)]
    records = [record for pack in packs for _, record in records_in(pack)]
    return [(digest_of(record), len(record)) for record in records]


# Where contents are stored


async def test_large_content_is_a_file_named_by_its_digest(
    store: PackingStore, folder: Path
) -> None:
    arrived = await keep(store, content(SMALL + 1))

    name = arrived.digest.removeprefix("sha256:")
    assert objects(folder) == [folder / "objects" / name[:2] / name[2:4] / name]
    assert (packed(folder), arriving(folder)) == ([], [])


async def test_small_content_is_a_record_of_a_pack(store: PackingStore, folder: Path) -> None:
    arrived = await keep(store, content(SMALL))

    assert packed(folder) == [(arrived.digest, SMALL)]
    assert (objects(folder), arriving(folder)) == ([], [])


async def test_same_bytes_published_at_the_same_time_are_one_file(
    store: PackingStore, folder: Path
) -> None:
    arrived = [await staged(store, pieces(content(MIB), 70_000)) for _ in range(8)]

    await asyncio.gather(*(store.publish(each) for each in arrived))

    assert len(objects(folder)) == 1
    assert arriving(folder) == []


async def test_same_small_bytes_are_one_record(store: PackingStore, folder: Path) -> None:
    store.pack([await staged(store, [b"twice"]), await staged(store, [b"twice"])])
    store.pack([await staged(store, [b"twice"])])

    assert packed(folder) == [(digest_of(b"twice"), 5)]


async def test_small_content_is_read_by_a_thread_where_the_disk_has_to_be_waited_for(
    store: PackingStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = await keep(store, b"small")
    monkeypatch.setattr("asset_ledger.ledger.content.packs._NO_WAIT", None)

    assert await fetch(store, b"small") == b"small"
    pack = ContentFolder(folder).pack(1)
    pack.write_bytes(pack.read_bytes().replace(b"small", b"smell"))
    with pytest.raises(CorruptLogError, match="changed or removed in pack 1"):
        await store.open(arrived.digest)


async def test_only_the_owner_can_read_the_folder(store: PackingStore, folder: Path) -> None:
    arrived = await staged(store, [content(SMALL + 1)])
    assert arrived.path is not None

    assert arrived.path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    await store.publish(arrived)


async def test_large_content_takes_less_than_8_mib_of_memory(
    store: PackingStore,
) -> None:
    stage = store.stage()
    await stage.write(bytes(2 * MIB))

    tracemalloc.start()
    for _ in range(4 * 48):
        await stage.write(os.urandom(MIB // 4))
    arrived = await stage.finish()
    await store.publish(arrived)
    opened = await store.open(arrived.digest)
    assert opened is not None
    async for _piece in opened.chunks(0, opened.size):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await opened.close()

    assert peak < 8 * MIB  # the content has 50 MiB


# Interrupted uploads


async def test_discarded_upload_leaves_no_file(store: PackingStore, folder: Path) -> None:
    stage = store.stage()
    for piece in pieces(content(3 * MIB), 100_000):
        await stage.write(piece)

    await stage.discard()

    assert arriving(folder) == []


async def test_upload_cancelled_while_a_thread_writes_leaves_no_file(
    store: PackingStore, folder: Path
) -> None:
    stage = store.stage()
    under_way = asyncio.Event()

    async def upload() -> None:
        for _ in range(3):  # the third waits for the first, and then starts a write of its own
            await stage.write(bytes(MIB))
        under_way.set()
        while True:
            await stage.write(bytes(MIB))

    sender = asyncio.create_task(upload())
    await under_way.wait()
    sender.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sender
    await stage.discard()

    assert arriving(folder) == []


_UPLOAD = """
import asyncio, sys
from pathlib import Path
from asset_ledger.ledger.content.local import open_local_contents

async def main():
    stage = (await open_local_contents(Path(sys.argv[1]))).stage()
    for _ in range(5):
        await stage.write(bytes(1 << 20))
    print("half-way", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


async def test_next_start_removes_the_upload_of_a_killed_process(
    folder: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _UPLOAD, str(folder)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half-way\n"
        process.send_signal(signal.SIGKILL)
    assert len(arriving(folder)) == 1

    store = await open_store(folder)

    assert (arriving(folder), objects(folder)) == ([], [])
    await store.close()


# Durable


class Syncs:
    """Notes fsync calls by inode in `done`; the inodes in `failing` fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[int] = []
        self.failing: set[int] = set()
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._sync)

    def _sync(self, descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        if inode in self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fsync(descriptor)
        self.done.append(inode)


@pytest.fixture
def syncs(store: PackingStore, monkeypatch: pytest.MonkeyPatch) -> Syncs:
    return Syncs(monkeypatch)


def with_folders(path: Path) -> list[int]:
    return [each.stat().st_ino for each in (path, *path.parents[:3])]


async def test_publish_syncs_new_folders_then_the_file_and_then_its_name(
    store: PackingStore, folder: Path, syncs: Syncs
) -> None:
    await keep(store, content(SMALL + 1))

    file, own, *above = with_folders(objects(folder)[0])
    assert syncs.done == [*above, file, own]


async def test_publish_syncs_the_folders_of_an_existing_content_again(
    store: PackingStore, folder: Path, syncs: Syncs
) -> None:
    await keep(store, content(SMALL + 1))
    syncs.done.clear()

    await keep(store, content(SMALL + 1))

    assert syncs.done == with_folders(objects(folder)[0])[1:]


async def test_file_whose_fsync_failed_is_not_published_by_a_retry(
    store: PackingStore, folder: Path, syncs: Syncs
) -> None:
    stage = store.stage()
    await stage.write(content(SMALL + 1))
    arrived = await stage.finish()
    assert arrived.path is not None
    syncs.failing = {arrived.path.stat().st_ino}

    for _ in range(2):
        with pytest.raises(StorageFailedError, match=r"not published|send the content again"):
            await store.publish(arrived)
        syncs.failing = set()

    assert await fetch(store, content(SMALL + 1)) is None
    await stage.discard()
    assert (objects(folder), arriving(folder)) == ([], [])


async def test_publish_is_refused_until_a_restart_after_the_fsync_of_a_folder_failed(
    store: PackingStore, folder: Path, syncs: Syncs
) -> None:
    whole = content(SMALL + 1)
    syncs.failing = {(folder / "objects").stat().st_ino}

    stage = store.stage()
    await stage.write(whole)
    arrived = await stage.finish()
    with pytest.raises(StorageFailedError, match="not published"):
        await publish(store, arrived)
    await stage.discard()
    syncs.failing = set()
    with pytest.raises(StorageFailedError, match="restart"):
        await keep(store, whole)

    reopened = await open_store(folder)
    await keep(reopened, whole)
    assert await fetch(reopened, whole) == whole
    await reopened.close()


async def test_reading_a_truncated_file_fails(store: PackingStore, folder: Path) -> None:
    arrived = await keep(store, content(3 * MIB))
    opened = await store.open(arrived.digest)
    assert opened is not None
    os.truncate(objects(folder)[0], MIB)

    with pytest.raises(StorageFailedError, match="shorter"):
        await read(opened, 0, opened.size)
    await opened.close()


# Full disks


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small file system cannot be mounted: run as root on Linux")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Write a file that takes all space that is left, and return it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


async def small_group(store: PackingStore) -> list[Staged]:
    return [await staged(store, [content(SMALL, seed)]) for seed in range(5)]


async def test_upload_that_fills_the_disk_is_refused_and_frees_its_space(
    tiny_disk: Path,
) -> None:
    store = await open_store(tiny_disk)
    stage = store.stage()

    with pytest.raises(DiskFullError, match="No space left"):  # noqa: PT012 - any write may fail
        for piece in pieces(content(4 * MIB), 100_000):
            await stage.write(piece)
        await stage.finish()
    await stage.discard()

    assert arriving(tiny_disk) == []
    await keep(store, content(SMALL + 1))
    assert await fetch(store, content(SMALL + 1)) == content(SMALL + 1)
    await store.close()


async def test_group_refused_by_a_full_disk_is_packed_when_there_is_space(
    tiny_disk: Path,
) -> None:
    store = await open_store(tiny_disk)
    await keep(store, b"before")
    group = await small_group(store)
    filler = fill(tiny_disk)

    with pytest.raises(DiskFullError):
        store.pack(group)
    assert await fetch(store, content(SMALL, 0)) is None
    assert await fetch(store, b"before") == b"before"

    filler.unlink()
    store.pack(group)
    assert [await fetch(store, content(SMALL, seed)) for seed in range(5)] == [
        each.small for each in group
    ]
    await store.close()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let the kernel refuse every write beyond this file size, with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_group_whose_commit_failed_is_packed_after_a_restart(
    store: PackingStore, folder: Path
) -> None:
    await keep(store, b"before")
    group = await small_group(store)

    with file_size_limit(64 * 1024), pytest.raises(StorageFailedError, match="I/O"):
        store.pack(group)
    with pytest.raises(StorageFailedError, match="read-only until a restart"):
        store.pack(group)
    assert await fetch(store, content(SMALL, 0)) is None
    await store.close()

    reopened = await open_store(folder)
    reopened.pack(group)
    assert await fetch(reopened, content(SMALL, 3)) == content(SMALL, 3)
    await reopened.close()


async def test_upload_refused_for_another_reason_is_not_reported_as_a_full_disk(
    store: PackingStore, folder: Path
) -> None:
    stage = store.stage()

    with file_size_limit(256 * 1024):
        await stage.write(content(MIB))
        with pytest.raises(StorageFailedError) as refusal:
            await stage.finish()
    await stage.discard()

    assert not isinstance(refusal.value, DiskFullError)
    assert str(folder) not in str(refusal.value)
    assert arriving(folder) == []
