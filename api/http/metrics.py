"""The server's metrics: requests are counted as they are answered, the rest when it is read."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from asset_ledger.api.backend import Backend
from asset_ledger.api.workers.rebuilds import RESULTS
from asset_ledger.ledger.commit.histogram import Histogram
from asset_ledger.ledger.errors import PoisonEventError

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PREFIX: Final = "asset_ledger_"
_UPLOADS: Final = "create_asset"


class RequestCounts:
    """Counts since the start: seconds by operation and status, and bytes of bodies.

    Promise: counting a request costs a microsecond.
    """

    def __init__(self) -> None:
        self.durations: dict[tuple[str, int], Histogram] = {}
        self.received = 0
        self.sent = 0

    def count(
        self, operation: str, status: int, seconds: float, *, received: int, sent: int
    ) -> None:
        """Count a request that was answered, completely or as far as its client stayed."""
        durations = self.durations.get((operation, status))
        if durations is None:
            durations = self.durations[operation, status] = Histogram(SECONDS)
        durations.count(seconds)
        self.received += received
        self.sent += sent


def exposition(backend: Backend, counts: RequestCounts) -> bytes:
    """Return every metric as it stands, in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(backend, counts))
    ProcessCollector(namespace="asset_ledger", registry=registry)
    return generate_latest(registry)


class _Numbers(Collector):
    def __init__(self, backend: Backend, counts: RequestCounts) -> None:
        self._backend, self._counts = backend, counts

    def collect(self) -> Iterator[Metric]:
        yield from self._requests()
        yield from self._writes()
        yield from self._projections()
        yield from self._rebuilds()

    def _requests(self) -> Iterator[Metric]:
        known = [*self._counts.durations.items()]
        seconds = HistogramMetricFamily(
            f"{_PREFIX}request_seconds",
            "Answered requests, by operation and status: how many, and how long each took.",
            labels=["operation", "status"],
        )
        for (operation, status), durations in known:
            seconds.add_metric([operation, str(status)], *_buckets(durations))
        yield seconds
        uploads = sum(
            sum(durations.counts)
            for (operation, status), durations in known
            if operation == _UPLOADS and status < 300
        )
        yield _counter("uploads", "Uploads that were recorded, or repeated.", uploads)
        yield _counter("received_bytes", "Bytes of bodies received.", self._counts.received)
        yield _counter("sent_bytes", "Bytes of bodies sent.", self._counts.sent)

    def _writes(self) -> Iterator[Metric]:
        committer = self._backend.committer
        waiting, seconds = committer.slots.taken, committer.seconds
        yield _gauge("writes_waiting", "Writes that have a slot of the queue.", waiting)
        yield _gauge("read_only", "1 if nothing is written.", bool(committer.failure))
        yield _histogram("group_size", "Commands in one transaction.", committer.groups)
        yield _histogram("commit_seconds", "From a group's start to its answers.", seconds)

    def _projections(self) -> Iterator[Metric]:
        head, runners = self._backend.feed.head(), self._backend.projections.runners
        yield _gauge("position", "The last position of the log.", head)
        lag = GaugeMetricFamily(
            f"{_PREFIX}projection_lag", "Events that a projection lacks.", labels=["projection"]
        )
        stalled = GaugeMetricFamily(
            f"{_PREFIX}projection_stalled", "1 if a projection cannot go on.", labels=["projection"]
        )
        poison = GaugeMetricFamily(
            f"{_PREFIX}projection_poison_position",
            "The event that a projection cannot take, and stands still before.",
            labels=["projection", "cause"],
        )
        for name, runner in runners.items():
            if isinstance(runner.error, PoisonEventError):
                poison.add_metric([name, runner.error.cause], runner.error.position)
            lag.add_metric([name], max(0, head - runner.position))
            stalled.add_metric([name], runner.state == "stalled")
        for name in self._backend.projections.broken:
            lag.add_metric([name], head)
            stalled.add_metric([name], 1)
        yield from (lag, stalled, poison)

    def _rebuilds(self) -> Iterator[Metric]:
        rebuilds, generation = self._backend.rebuilds, self._backend.projections.generation
        yield _gauge("generation", "The tables in use, by their number.", generation.number)
        yield _gauge("rebuilding", "1 while tables are made anew.", bool(rebuilds.building))
        ended = CounterMetricFamily(
            f"{_PREFIX}rebuilds", "Rebuilds, by what became of them.", labels=["result"]
        )
        for result in RESULTS:
            ended.add_metric([result], rebuilds.counts[result])
        yield ended


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, about, value=value)


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, about, value=value)


def _histogram(name: str, about: str, counted: Histogram) -> Metric:
    buckets, total = _buckets(counted)
    return HistogramMetricFamily(_PREFIX + name, about, buckets=buckets, sum_value=total)


def _buckets(counted: Histogram) -> tuple[list[tuple[str, float]], float]:
    """Prometheus' form: each bucket holds all that lies under its bound."""
    buckets, below = [], 0
    for bound, count in zip((*counted.bounds, "+Inf"), [*counted.counts], strict=True):
        below += count
        buckets.append((str(bound), float(below)))
    return buckets, counted.total
