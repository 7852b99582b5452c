"""Pages of a comparison, against the pairs that Python makes of the events."""

from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any, Final

import orjson
import pytest

from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import CursorError, UnknownJobError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from asset_ledger.projections.queries.compare import AttemptName, CompareQueries
from asset_ledger.projections.queries.job_comparison import (
    STATUSES,
    compare_records,
    comparison_document,
)
from asset_ledger.projections.queries.pages import MAX_BYTES
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import asset_id, created, deleted, finished, started
from tests.projections.world import World, file_of

JOBS: Final = ("a", "b")


@pytest.fixture
async def queries(runner: Runner) -> AsyncIterator[CompareQueries]:
    readers = AsyncSqliteReaders(file_of(runner))
    yield CompareQueries(readers)
    await readers.close()


def made(number: int, job_id: str, name: str = "x", digest: str = "1", **given: Any) -> Event:
    content = {"digest": Digest(f"sha256:{digest * 64}")} if digest else {"digest": None, "size": 0}
    private = {"name": name, **given.pop("private", {})}
    return created(
        originator_id=asset_id(number), job_id=job_id, private=private, **content, **given
    )


def any_history(random: Random) -> list[Event]:
    """Return assets of two jobs and two nodes with few names; some are deleted."""
    events: list[Event] = []
    for number in range(1, random.randrange(1, 25)):
        job, name, digest = random.choice("ab"), random.choice("xyz"), random.choice("12-")
        node = random.choice([None, "n"])
        events.append(made(number, job, name, digest.strip("-"), node_id=node))
        if random.random() < 0.2:
            events.append(deleted(originator_id=asset_id(number), job_id=job))
    return [*events, made(98, "a"), made(99, "b")]


async def paged(queries: CompareQueries, size: int, **options: Any) -> list[dict[str, Any]]:
    """Return the documents of all pages of jobs a and b."""
    documents: list[dict[str, Any]] = []
    cursor = ""
    while cursor or not documents:
        page = await queries.page(
            "1", AttemptName("a"), AttemptName("b"), page_size=size, cursor=cursor, **options
        )
        documents.append(orjson.loads(orjson.dumps(comparison_document(page))))
        cursor = page.next
    return documents


def rows_of(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for document in documents for row in document["rows"]]


@pytest.mark.parametrize("seed", range(12))
async def test_pages_have_the_pairs_of_the_events(
    here: World, runner: Runner, queries: CompareQueries, seed: int
) -> None:
    here.write(runner, *any_history(Random(seed)))
    replay, head = Replay(here.log, Codec()), here.log.head().position
    a, b = (replay.job_record("1", job_id, upto=head) for job_id in JOBS)
    whole = orjson.loads(orjson.dumps(comparison_document(compare_records(a, b, head))))

    for size in (1, 3, 100):
        documents = await paged(queries, size)
        assert rows_of(documents) == whole["rows"]
        for document in documents:
            assert document | {"rows": whole["rows"], "next": ""} == whole
            assert len(document["rows"]) <= size
    for statuses in (("different",), ("only_a", "only_b"), STATUSES):
        wanted = [row for row in whole["rows"] if row["status"] in statuses]
        assert rows_of(await paged(queries, 2, statuses=statuses)) == wanted


async def test_page_ends_after_four_mebibytes(
    here: World, runner: Runner, queries: CompareQueries
) -> None:
    private = {"metadata": {"text": "x" * 30_000}}
    for job in JOBS:
        first = 1_000 * (job == "b")
        events = [made(first + n, job, str(n), private=private) for n in range(1, 201)]
        here.write(runner, *events)

    documents = await paged(queries, 1_000)

    sizes = [len(orjson.dumps(document["rows"])) for document in documents]
    assert len(rows_of(documents)) == 200
    assert max(sizes) < MAX_BYTES * 1.1
    assert min(sizes[:-1]) > MAX_BYTES * 0.9
    assert {document["counts"]["same"] for document in documents} == {200}


async def test_later_pages_are_of_the_attempts_of_the_first(
    here: World, runner: Runner, queries: CompareQueries
) -> None:
    names = AttemptName("a"), AttemptName("b")
    here.write(runner, *[made(n, "ab"[n % 2], str(n)) for n in range(1, 9)])
    first = await queries.page("1", *names, page_size=3)
    here.write(runner, started(job_id="b"), finished(job_id="b"))
    here.write(runner, started(job_id="b", originator_version=3, attempt=2))
    here.write(runner, made(20, "b", "late", attempt=2))

    second = await queries.page("1", *names, page_size=3, cursor=first.next)

    assert (await queries.page("1", *names)).attempts == (1, 2)
    assert (second.attempts, second.counts) == ((1, 1), first.counts)
    assert not {row.key for row in first.rows} & {row.key for row in second.rows}


async def test_assets_made_between_two_pages_are_on_the_second(
    here: World, runner: Runner, queries: CompareQueries
) -> None:
    names = AttemptName("a"), AttemptName("b")
    here.write(runner, *[made(n, "ab"[n % 2], str(n // 2)) for n in range(2, 10)])
    first = await queries.page("1", *names, page_size=2)
    here.write(runner, deleted(originator_id=asset_id(6), job_id="a"), made(20, "b", "late"))

    second = await queries.page("1", *names, page_size=9, cursor=first.next)

    keys = [row.key.name for page in (first, second) for row in page.rows]
    assert sorted(keys) == ["1", "2", "3", "4", "late"]


@pytest.mark.parametrize(
    ("user_id", "names", "statuses"),
    [
        ("2", (AttemptName("a"), AttemptName("b")), STATUSES),
        ("1", (AttemptName("b"), AttemptName("a")), STATUSES),
        ("1", (AttemptName("a", 1), AttemptName("b", 1)), STATUSES),
        ("1", (AttemptName("a"), AttemptName("b")), ("same",)),
    ],
)
async def test_cursor_of_another_comparison_is_refused(
    here: World,
    runner: Runner,
    queries: CompareQueries,
    user_id: str,
    names: tuple[AttemptName, AttemptName],
    statuses: Sequence[str],
) -> None:
    here.write(runner, *[made(n, "ab"[n % 2], str(n)) for n in range(1, 9)])
    page = await queries.page("1", AttemptName("a"), AttemptName("b"), page_size=1)

    with pytest.raises(CursorError):
        await queries.page(user_id, *names, statuses=statuses, cursor=page.next)


async def test_unknown_job_or_attempt_is_refused(
    here: World, runner: Runner, queries: CompareQueries
) -> None:
    here.write(runner, made(1, "a"), made(2, "b"))

    for names in (
        (AttemptName("a"), AttemptName("c")),
        (AttemptName("c"), AttemptName("a")),
        (AttemptName("a", 2), AttemptName("b")),
    ):
        with pytest.raises(UnknownJobError):
            await queries.page("1", *names)
