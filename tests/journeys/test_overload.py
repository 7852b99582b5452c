"""Many connections, many subscribers, a sustained load, and twice what the server can do.

`python -m tests.journeys.test_overload SECONDS` runs the sustained load and the overload, and
prints what they showed.
"""

import asyncio
import gc
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import uvloop

from tests.journeys.client import talking
from tests.journeys.hostile import proportional_size
from tests.journeys.offered import (
    Answer,
    Link,
    get,
    lateness,
    offered,
    one_after_another,
    percentile,
    stream,
    upload,
)
from tests.journeys.processes import children_of
from tests.journeys.server import Server, serving

MIB: Final = 1 << 20
CONNECTIONS: Final = 1_000
SUBSCRIBERS: Final = 2_000
EVENTS: Final = 50
EARLY: Final = ("--queue-wait", "0.01")
"""A server that refuses early, rather than let uploads wait."""

pytestmark = pytest.mark.chaos


async def test_a_thousand_connections_are_all_answered(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        links = [Link(server.port) for _ in range(CONNECTIONS - 8)]
        for request, status in ((get("/livez"), 200), (upload(), 201), (get("/api/assets"), 200)):
            answers = await asyncio.gather(*(link.call(request) for link in links))
            assert Counter(each.status for each in answers) == {status: len(links)}
        assert memory_of(server) < 400 * MIB
        for link in links:
            link.close()
        assert server.stop() == 0


async def test_two_thousand_subscribers_get_every_event_once(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--max-connections", "2200") as server:
        request = get("/api/events/stream?after=0")
        streams = [await stream(server.port, request) for _ in range(SUBSCRIBERS)]
        with talking(server.port) as client:
            ids = [client.created()["id"] for _ in range(EVENTS)]
        async with asyncio.timeout(120):  # fails a test that hangs
            received = await asyncio.gather(
                *(reader.readuntil(ids[-1].encode()) for reader, _ in streams)
            )
        peak = memory_of(server)
        for _, writer in streams:
            writer.close()

        assert [text for text in received if [text.count(i.encode()) for i in ids] != ONCE] == []
        assert peak < 600 * MIB


ONCE: Final = [1] * EVENTS


class Sample(NamedTuple):
    """The memory of a server and its children in bytes, and its open files but sockets."""

    memory: int
    files: int


class Capacity(NamedTuple):
    """What a server does without refusing: uploads a second, and their 99th percentile in ms."""

    rate: float
    p99: float


async def measured(server: Server, seconds: float, connections: int = 32) -> Capacity:
    """Measure the capacity of a server."""
    answers = await one_after_another(server.port, connections, seconds)
    assert {each.status for each in answers} == {201}
    return Capacity(len(answers) / seconds, percentile(answers, 99, 201))


async def test_ten_minutes_at_four_fifths_of_the_capacity_leave_memory_and_files_flat(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "data") as server:
        capacity = await measured(server, 10)
        answers, samples = await sustained(server, 0.8 * capacity.rate, 600)
        assert {each.status for each in answers} == {201}
        check_flat(samples)
        assert server.stop() == 0


async def sustained(
    server: Server, rate: float, seconds: float
) -> tuple[list[Answer], list[Sample]]:
    """Offer a load, and sample the memory and the open files every hundredth of the time."""
    samples = list[Sample]()

    async def watch() -> None:
        while True:
            await asyncio.sleep(seconds / 100)
            samples.append(Sample(memory_of(server), files_of(server)))

    watching = asyncio.create_task(watch())
    answers = await offered(server.port, rate, seconds)
    watching.cancel()
    return answers, samples


def check_flat(samples: list[Sample]) -> None:
    """Check that the last third of the time needed no more than the second one."""
    third = len(samples) // 3
    second, last = samples[third : 2 * third], samples[2 * third :]
    assert max(each.memory for each in last) < 1.1 * max(each.memory for each in second) + 8 * MIB
    assert max(each.files for each in last) < max(each.files for each in second) + 16


@contextmanager
def apart() -> Iterator[tuple[str, ...]]:
    """Run this process, which is the client, on one processor, and yield the command that runs a
    server on another one: else the client takes from the server what it measures."""
    ours = os.sched_getaffinity(0)
    if len(ours) < 2:
        yield ()
        return
    os.sched_setaffinity(0, {max(ours)})
    try:
        yield ("taskset", "--cpu-list", str(min(ours)))
    finally:
        os.sched_setaffinity(0, ours)


async def overloaded(folder: Path, seconds: float) -> tuple[Capacity, list[Answer]]:
    """Measure the capacity of a server, and offer twice that to one that refuses early."""
    with apart() as before:
        with serving(folder / "usual", before=before) as server:
            capacity = await measured(server, 10)
        with serving(folder / "early", *EARLY, before=before) as server:
            answers = await offered(server.port, 2 * capacity.rate, seconds)
            with talking(server.port) as client:
                assert client.get("/readyz").status == 200
            assert server.stop() == 0
    print(overload_report(capacity, answers))
    return capacity, answers


async def test_twice_the_capacity_is_refused_at_once_and_what_is_accepted_is_recorded(
    tmp_path: Path,
) -> None:
    capacity, answers = await overloaded(tmp_path, 30)

    assert {each.status for each in answers} <= {201, 503}
    assert sum(each.status == 201 for each in answers) > 0.3 * 30 * capacity.rate
    assert percentile(answers, 95, 503) < 50
    assert percentile(answers, 95, 201) < 2 * capacity.p99


def overload_report(capacity: Capacity, answers: list[Answer]) -> str:
    """Return the figures of an overload as text."""
    counts = dict(Counter(each.status for each in answers))
    refused = [percentile(answers, nth, 503) for nth in (50, 99)]
    return (
        f"capacity {capacity.rate:.0f}/s, p99 {capacity.p99:.0f} ms; twice that: {counts}; "
        f"503 p50 {refused[0]:.1f}, p99 {refused[1]:.1f} ms; "
        f"201 p50 {percentile(answers, 50, 201):.1f}, p99 {percentile(answers, 99, 201):.0f} ms; "
        f"of these, sent late by p99 {lateness(answers, 99):.1f} ms"
    )


def memory_of(server: Server) -> int:
    """Return the memory of a server and its children in bytes."""
    return sum(map(proportional_size, [server.pid, *children_of(server.pid)]))


def files_of(server: Server) -> int:
    """Return the number of the open files of a server; sockets are as many as its clients."""
    found = 0
    for each in Path(f"/proc/{server.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found += not str(each.readlink()).startswith("socket:")
    return found


async def main(seconds: float) -> None:
    """Run a sustained load and an overload on new folders, and print what they showed."""
    gc.disable()  # a collection of a million answers would be taken for a wait
    with tempfile.TemporaryDirectory() as folder:
        with serving(Path(folder) / "sustained") as server:
            capacity = await measured(server, 10)
            began = time.monotonic()
            answers, samples = await sustained(server, 0.8 * capacity.rate, seconds)
            taken = time.monotonic() - began
        tenths = samples[:: max(1, len(samples) // 10)]
        print(f"capacity {capacity.rate:.0f}/s; {len(answers) / taken:.0f}/s for {taken:.0f} s:")
        print(dict(Counter(each.status for each in answers)), "p50, p99 ms:", end=" ")
        print(*(f"{percentile(answers, nth, 201):.1f}" for nth in (50, 99)))
        print("MiB, files:", *(f"{each.memory / MIB:.0f}, {each.files};" for each in tenths))
        check_flat(samples)
        await overloaded(Path(folder), 30)


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]) if sys.argv[1:] else 60.0))
