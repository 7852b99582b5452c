"""The server's numbers in Prometheus' text format, gathered when somebody asks for them."""

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
from asset_ledger.api.http.watch import Watch
from asset_ledger.api.workers.rebuilds import RESULTS
from asset_ledger.ledger.commit.histogram import Histogram
from asset_ledger.ledger.errors import PoisonFactError

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "asset_ledger_"
_UPLOADS: Final = "create_asset"


def exposition(backend: Backend, watch: Watch) -> bytes:
    """Everything that is counted, as it stands."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(backend, watch))
    ProcessCollector(namespace="asset_ledger", registry=registry)
    return generate_latest(registry)


class _Numbers(Collector):
    def __init__(self, backend: Backend, watch: Watch) -> None:
        self._backend, self._watch = backend, watch

    def collect(self) -> Iterator[Metric]:
        yield from self._requests()
        yield from self._writes()
        yield from self._views()
        yield from self._rebuilds()

    def _requests(self) -> Iterator[Metric]:
        known = [*self._watch.durations.items()]
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
        yield _counter("received_bytes", "Bytes of bodies received.", self._watch.received)
        yield _counter("sent_bytes", "Bytes of bodies sent.", self._watch.sent)

    def _writes(self) -> Iterator[Metric]:
        committer = self._backend.committer
        waiting, seconds = committer.slots.taken, committer.seconds
        yield _gauge("writes_waiting", "Writes that have a slot of the queue.", waiting)
        yield _gauge("read_only", "1 if nothing is written.", bool(committer.failure))
        yield _histogram("group_size", "Commands in one transaction.", committer.groups)
        yield _histogram("commit_seconds", "From a group's start to its answers.", seconds)

    def _views(self) -> Iterator[Metric]:
        head, runners = self._backend.feed.head(), self._backend.views.runners
        yield _gauge("position", "The last position of the log.", head)
        lag = GaugeMetricFamily(f"{_PREFIX}view_lag", "Facts that a view lacks.", labels=["view"])
        stalled = GaugeMetricFamily(
            f"{_PREFIX}view_stalled", "1 if a view cannot go on.", labels=["view"]
        )
        poison = GaugeMetricFamily(
            f"{_PREFIX}view_poison_position",
            "The fact that a view cannot take, and stands still before.",
            labels=["view", "cause"],
        )
        for name, runner in runners.items():
            if isinstance(runner.error, PoisonFactError):
                poison.add_metric([name, runner.error.cause], runner.error.position)
            lag.add_metric([name], max(0, head - runner.position))
            stalled.add_metric([name], runner.state == "stalled")
        for name in self._backend.views.broken:
            lag.add_metric([name], head)
            stalled.add_metric([name], 1)
        yield from (lag, stalled, poison)

    def _rebuilds(self) -> Iterator[Metric]:
        rebuilds, generation = self._backend.rebuilds, self._backend.views.generation
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
