"""The promises of every ContentStore, as tests. An adapter subclasses the contract and overrides
`store_factory`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.store import HEAD, SMALL, Content, ContentStore, Stage, Staged
from asset_ledger.ledger.ids import Digest, digest_of
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Command
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.storage.data_folder import ContentFolder

MIB = 1 << 20
SIZES = [0, 1, HEAD, HEAD + 1, SMALL - 1, SMALL, SMALL + 1, 3 * MIB + 7]


class PackingStore:
    """A content store, and the packs and places that the group commit writes beside it."""

    def __init__(self, store: ContentStore, folder: Path) -> None:
        files = ContentFolder(folder)
        self._store, self._packs = store, Packs(files)
        self._log = SqliteLog(files.log, Codec())

    def stage(self) -> Stage:
        return self._store.stage()

    async def publish(self, staged: Staged) -> None:
        await self._store.publish(staged)

    async def open(self, digest: Digest) -> Content | None:
        return await self._store.open(digest)

    def pack(self, contents: Sequence[Staged]) -> None:
        """Make small contents durable, and store the rows of objects, as a group commit does."""
        packed = {each.digest: each.small for each in contents if each.small is not None}
        places = self._packs.append(packed, self._log.places(list(packed)))
        objects = [each.stored for each in contents if each.stored is not None]
        self._log.append([Command((), objects=objects)], lambda _: None, places)

    async def close(self) -> None:
        await self._store.close()
        self._packs.close()
        self._log.close()


StoreFactory = Callable[[], Awaitable[PackingStore]]
"""Open a store. Every call opens another store of the same contents."""

one_store_for_all_examples = settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def content(size: int, seed: int = 0) -> bytes:
    """Return random bytes, the same on every call."""
    return random.Random(seed).randbytes(size)


def pieces(whole: bytes, length: int) -> list[bytes]:
    return [whole[start : start + length] for start in range(0, len(whole), length)]


async def staged(store: PackingStore, chunks: Sequence[bytes]) -> Staged:
    stage = store.stage()
    for chunk in chunks:
        await stage.write(chunk)
    return await stage.finish()


async def keep(store: PackingStore, whole: bytes) -> Staged:
    """Stage and publish, as an upload does."""
    arrived = await staged(store, pieces(whole, 100_000))
    await publish(store, arrived)
    return arrived


async def publish(store: PackingStore, arrived: Staged) -> None:
    await store.publish(arrived)
    if arrived.is_recorded:
        await asyncio.to_thread(store.pack, [arrived])


async def read(opened: Content, start: int, stop: int) -> list[bytes]:
    return [piece async for piece in opened.chunks(start, stop)]


async def fetch(store: PackingStore, sent: bytes) -> bytes | None:
    """Return the bytes that the store has for the digest of `sent`; None if it has none."""
    opened = await store.open(digest_of(sent))
    if opened is None:
        return None
    whole = b"".join(await read(opened, 0, opened.size))
    await opened.close()
    return whole


class ContentStoreContract:
    """The promises. Each test gets an empty store."""

    @pytest.fixture
    def store_factory(self) -> StoreFactory:
        raise LookupError("an adapter must override this fixture")

    @pytest.fixture
    async def store(self, store_factory: StoreFactory) -> AsyncIterator[PackingStore]:
        opened = await store_factory()
        yield opened
        await opened.close()

    @pytest.mark.parametrize("size", SIZES)
    async def test_published_content_is_read_back(self, store: PackingStore, size: int) -> None:
        whole = content(size)

        await keep(store, whole)

        assert await fetch(store, whole) == whole

    @pytest.mark.parametrize("size", SIZES)
    async def test_staged_content_has_its_digest_size_and_head(
        self, store: PackingStore, size: int
    ) -> None:
        whole = content(size)
        stage = store.stage()
        for piece in pieces(whole, 70_000):
            await stage.write(piece)

        arrived = await stage.finish()

        assert (arrived.digest, arrived.size) == (digest_of(whole), size)
        assert arrived.head == whole[:HEAD]
        assert arrived.small == (whole if size <= SMALL else None)
        await stage.discard()

    @pytest.mark.parametrize("length", [1_000, SMALL - 1, SMALL, SMALL + 1, MIB, 3 * MIB])
    async def test_content_is_the_same_for_any_length_of_its_chunks(
        self, store: PackingStore, length: int
    ) -> None:
        whole = content(2 * MIB + 1)

        arrived = await staged(store, pieces(whole, length))
        await publish(store, arrived)

        assert arrived.digest == digest_of(whole)
        assert await fetch(store, whole) == whole

    @pytest.mark.parametrize("size", [5_000, 2 * MIB + 5])
    @given(bounds=st.tuples(st.floats(0, 1.2), st.floats(0, 1.2)).map(sorted))
    @example(bounds=[0.0, 1.0])
    @example(bounds=[0.5, 0.5])
    @one_store_for_all_examples
    async def test_range_reads_the_bytes_of_a_slice(
        self, store: PackingStore, size: int, bounds: list[float]
    ) -> None:
        whole = content(size)
        start, stop = (int(bound * size) for bound in bounds)
        if await fetch(store, whole) is None:
            await keep(store, whole)
        opened = await store.open(digest_of(whole))
        assert opened is not None

        got = await read(opened, start, stop)
        await opened.close()

        assert b"".join(got) == whole[start:stop]
        assert all(0 < len(piece) <= MIB for piece in got)

    async def test_concurrent_readers_read_their_own_ranges(self, store: PackingStore) -> None:
        whole = content(3 * MIB)
        await keep(store, whole)
        opened = await store.open(digest_of(whole))
        assert opened is not None

        ranges = [(start, start + MIB + 9) for start in range(0, 2 * MIB, 300_000)]
        got = await asyncio.gather(*(read(opened, *bounds) for bounds in ranges))

        assert [b"".join(part) for part in got] == [whole[start:stop] for start, stop in ranges]
        await opened.close()

    async def test_open_returns_none_for_an_unknown_digest(self, store: PackingStore) -> None:
        assert await fetch(store, b"never sent") is None

    @pytest.mark.parametrize("size", [100, SMALL + 1])
    async def test_open_returns_none_for_a_staged_content(
        self, store: PackingStore, size: int
    ) -> None:
        stage = store.stage()
        await stage.write(content(size))
        await stage.finish()

        assert await fetch(store, content(size)) is None
        await stage.discard()

    @pytest.mark.parametrize("size", [100, SMALL + 1])
    async def test_reopened_store_has_the_published_contents(
        self, store: PackingStore, store_factory: StoreFactory, size: int
    ) -> None:
        await keep(store, content(size))
        await store.close()

        reopened = await store_factory()

        assert await fetch(reopened, content(size)) == content(size)
        await reopened.close()

    @pytest.mark.parametrize("size", [100, SMALL + 1])
    async def test_same_bytes_may_be_published_again(self, store: PackingStore, size: int) -> None:
        whole = content(size)

        await keep(store, whole)
        await keep(store, whole)

        assert await fetch(store, whole) == whole

    async def test_same_bytes_may_be_published_by_concurrent_callers(
        self, store: PackingStore
    ) -> None:
        whole = content(MIB)
        arrived = [await staged(store, pieces(whole, 70_000)) for _ in range(8)]

        await asyncio.gather(*(store.publish(each) for each in arrived))
        await asyncio.to_thread(store.pack, arrived)

        assert await fetch(store, whole) == whole

    async def test_pack_takes_a_group_with_duplicates_and_packed_contents(
        self, store: PackingStore
    ) -> None:
        old, new, twice = (content(1_000, seed) for seed in range(3))
        await keep(store, old)
        group = [await staged(store, [whole]) for whole in (old, new, twice, twice)]

        await asyncio.to_thread(store.pack, group)

        assert [await fetch(store, whole) for whole in (old, new, twice)] == [old, new, twice]

    async def test_pack_does_nothing_for_an_empty_group(self, store: PackingStore) -> None:
        store.pack([])

    @pytest.mark.parametrize("size", [100, SMALL + 1])
    async def test_discard_leaves_a_published_content_readable(
        self, store: PackingStore, size: int
    ) -> None:
        whole = content(size)
        stage = store.stage()
        await stage.write(whole)
        await publish(store, await stage.finish())

        await stage.discard()
        await stage.discard()

        assert await fetch(store, whole) == whole

    async def test_content_can_be_sent_again_after_a_discard_half_way(
        self, store: PackingStore
    ) -> None:
        whole = content(2 * MIB)
        stage = store.stage()
        await stage.write(whole[:MIB])
        await stage.discard()

        await keep(store, whole)

        assert await fetch(store, whole) == whole
