"""Packs: what is appended can be read, and what is damaged or cut off cannot."""

import os
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.ledger.content import packs as module
from asset_ledger.ledger.content.packs import PackReader, Packs, pack_numbers, records_in
from asset_ledger.ledger.content.places import Place
from asset_ledger.ledger.errors import CorruptLogError, StorageFailedError
from asset_ledger.ledger.ids import Digest, digest_of
from asset_ledger.ledger.storage.data_folder import ContentFolder

HEADER = 40


@pytest.fixture
def files(tmp_path: Path) -> ContentFolder:
    return ContentFolder(tmp_path / "content")


@contextmanager
def opened(files: ContentFolder) -> Iterator[Packs]:
    with closing(Packs(files)) as packs:
        yield packs


def group(*contents: bytes) -> dict[Digest, bytes]:
    return {digest_of(content): content for content in contents}


def appended(files: ContentFolder, *contents: bytes) -> list[Place]:
    with opened(files) as packs:
        return packs.append(group(*contents), {})


def read(files: ContentFolder, place: Place) -> bytes:
    with closing(PackReader(files)) as reader:
        return reader.read(place)


def test_places_are_those_of_the_documented_records(files: ContentFolder) -> None:
    first, second = appended(files, b"one", b"")

    assert first == (digest_of(b"one"), 1, 0, 3)
    assert second == (digest_of(b""), 1, HEADER + 3, 0)
    data = files.pack(1).read_bytes()
    assert data[:8] == b"ALC1" + (3).to_bytes(4, "big")
    assert data[8:HEADER].hex() == digest_of(b"one").removeprefix("sha256:")
    assert [read(files, place) for place in (first, second)] == [b"one", b""]
    assert files.pack(1).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("tail", [b"\0" * 99, b"ALC1", b"garbage", b"ALC1\0\0\0\x05" + bytes(33)])
def test_a_start_appends_after_a_tail_that_a_kill_left(files: ContentFolder, tail: bytes) -> None:
    (old,) = appended(files, b"old")
    with files.pack(1).open("ab") as file:
        file.write(tail)

    (new,) = appended(files, b"new")

    assert new.offset == HEADER + 3 + len(tail)
    assert [read(files, place) for place in (old, new)] == [b"old", b"new"]
    assert [content for _, content in records_in(files.pack(1))] == [b"old", b"new"]


def test_a_record_that_was_cut_off_anywhere_is_not_read(files: ContentFolder) -> None:
    first, last = appended(files, b"whole", b"torn")

    for size in range(last.offset, files.pack(1).stat().st_size):
        os.truncate(files.pack(1), size)
        with pytest.raises(CorruptLogError, match="changed or removed in pack 1"):
            read(files, last)
        assert read(files, first) == b"whole"
        assert list(records_in(files.pack(1))) == [(0, b"whole")]
        with files.pack(1).open("ab") as file:
            file.write(bytes(HEADER))


def test_every_changed_byte_of_a_record_is_detected(files: ContentFolder) -> None:
    (place,) = appended(files, b"content")
    original = files.pack(1).read_bytes()

    for at in range(len(original)):
        changed = bytearray(original)
        changed[at] ^= 1 << random.Random(at).randrange(8)
        files.pack(1).write_bytes(changed)
        with pytest.raises(CorruptLogError):
            read(files, place)
        assert list(records_in(files.pack(1))) == []


@pytest.mark.parametrize(
    "change",
    [
        *({"offset": -1}, {"offset": 1}, {"offset": 2**62}, {"pack": 2}, {"pack": -1}),
        *({"size": 6}, {"size": 8}, {"size": -1}, {"size": 2**40}),
        {"digest": digest_of(b"other")},
    ],
    ids=str,
)
def test_no_content_is_read_from_a_changed_place(
    files: ContentFolder, change: dict[str, Any]
) -> None:
    (place,) = appended(files, b"content")

    with pytest.raises(CorruptLogError):
        read(files, place._replace(**change))


def test_a_content_at_its_place_is_not_appended_again(files: ContentFolder) -> None:
    (place,) = appended(files, b"same")
    size = files.pack(1).stat().st_size

    with opened(files) as packs:
        assert packs.append(group(b"same"), {place.digest: place}) == []

    assert files.pack(1).stat().st_size == size


@pytest.mark.parametrize("lose", [Path.unlink, lambda pack: pack.write_bytes(bytes(99))])
def test_a_content_that_its_pack_lost_is_appended_again(files: ContentFolder, lose: object) -> None:
    (place,) = appended(files, b"same")
    assert callable(lose)
    lose(files.pack(1))

    with opened(files) as packs:
        (again,) = packs.append(group(b"same"), {place.digest: place})

    assert read(files, again) == b"same"


def test_the_next_pack_begins_once_a_pack_is_full(
    files: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PACK_SIZE", 100)
    monkeypatch.setattr(module, "OPEN_PACKS", 2)
    contents = [b"%060d" % number for number in range(9)]
    places = [place for each in contents for place in appended(files, each)]

    assert [place.pack for place in places] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert pack_numbers(files) == [*range(1, 10)]
    with closing(PackReader(files)) as reader:
        before = len([*Path("/proc/self/fd").iterdir()])
        assert [reader.read(place) for place in places * 2] == contents * 2
        assert len([*Path("/proc/self/fd").iterdir()]) <= before + 2


def test_other_files_in_the_folder_are_no_packs(files: ContentFolder) -> None:
    appended(files, b"a")
    for name in ("00000009.pack~", "9.pack", "x.pack", "00000009.pack.new"):
        (files.packs / name).write_bytes(b"x")

    assert pack_numbers(files) == [1]


def test_nothing_is_appended_after_a_folder_was_not_synced(
    files: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    with opened(files) as packs:
        monkeypatch.setattr(module, "sync_folder", failing)
        with pytest.raises(StorageFailedError, match="read-only until a restart"):
            packs.append(group(b"a"), {})
        monkeypatch.undo()
        with pytest.raises(StorageFailedError, match="read-only until a restart"):
            packs.append(group(b"a"), {})


def test_zeros_are_written_ahead_of_small_groups_and_cut_off_at_the_end(
    files: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AHEAD", 400)
    contents = [b"%060d" % number for number in range(9)] + [bytes(1_000)]
    sizes = []
    with opened(files) as packs:
        places = []
        for content in contents:
            places += packs.append(group(content), {})
            sizes.append(files.pack(1).stat().st_size)

    assert sizes == [500, 500, 500, 500, 500, 1_000, 1_000, 1_000, 1_000, 1_940]
    assert files.pack(1).stat().st_size == 9 * 100 + HEADER + 1_000
    assert [read(files, place) for place in places] == contents


def test_a_record_out_of_memory_is_left_to_a_thread(files: ContentFolder) -> None:
    places = appended(files, *(b"%d" % number * 50_000 for number in range(9)))
    with files.pack(1).open("rb") as file, closing(PackReader(files)) as reader:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for number, place in enumerate(places):
            assert reader.find_cached(place) in (None, b"%d" % number * 50_000)
            assert reader.find(place) == b"%d" % number * 50_000


@pytest.mark.parametrize("error", [BlockingIOError, OSError(95, "not supported")])
def test_contents_are_read_where_no_read_without_waiting_is_possible(
    files: ContentFolder, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    (place,) = appended(files, b"content")
    preadv = os.preadv

    def waiting(descriptor: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        if flags:
            raise error
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", waiting)
    with closing(PackReader(files)) as reader:
        assert (reader.find_cached(place), reader.find(place)) == (None, b"content")
    monkeypatch.setattr(module, "_NO_WAIT", None)
    with closing(PackReader(files)) as reader:
        assert reader.find_cached(place) is None
