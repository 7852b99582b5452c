"""The metrics of the server. Requests are counted as they end, the rest when metrics are read."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
from asset_ledger.api.contract.errors import RateLimitedError, StalledBodyError
from asset_ledger.api.contract.problems import problem_of
from asset_ledger.api.http.kept import KeptAnswers
from asset_ledger.api.workers.rebuilds import RESULTS
from asset_ledger.ledger.commit.histogram import Histogram
from asset_ledger.ledger.errors import (
    BusyError,
    DeadlineExceededError,
    LogDamagedError,
    PoisonEventError,
    TooLargeError,
)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PREFIX: Final = "asset_ledger_"
_UPLOADS: Final = ("create_asset", "create_asset_from_content")


REFUSING: Final = (
    "body-memory",
    "deadline-exceeded",
    "memory",
    "queue-wait",
    "rate-limited",
    "requests-of-a-user",
    "slow-reads",
    "stalled-body",
    "thumbnails",
    "too-large",
    "unfinished-uploads",
    "writes",
    "writes-of-a-user",
    "zips",
)
"""The limits that refuse requests: a slug of a problem, or what of a `busy` server."""
_LIMITS: Final = (
    BusyError,
    DeadlineExceededError,
    RateLimitedError,
    StalledBodyError,
    TooLargeError,
)


class RequestCounts:
    """Request counts since the start: seconds by operation and status, and bytes of bodies.

    Counting a request takes about a microsecond. `log_damage`: the last damage of the log that a
    request found.
    """

    def __init__(self) -> None:
        self.durations: dict[tuple[str, int], Histogram] = {}
        self.received = 0
        self.sent = 0
        self.searches_behind = 0
        self.refused = Counter[str]()
        self.kept: KeptAnswers | None = None
        self.log_damage: LogDamagedError | None = None

    def count(
        self, operation: str, status: int, seconds: float, *, received: int, sent: int
    ) -> None:
        """Count a request that ended, even if its client disconnected before the last byte."""
        durations = self.durations.get((operation, status))
        if durations is None:
            durations = self.durations[operation, status] = Histogram(SECONDS)
        durations.count(seconds)
        self.received += received
        self.sent += sent

    def count_refused(self, error: Exception) -> None:
        """Count an error by the limit that raised it, if it was one."""
        if isinstance(error, _LIMITS):
            self.refused[getattr(error, "which", "") or problem_of(error).slug] += 1


_PROCESS: Final = ProcessCollector(namespace="asset_ledger", registry=None)


class _Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def exposition(metrics: Iterable[Metric]) -> bytes:
    """Return metrics, and those of the process, in the text format of Prometheus. Blocks."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([*metrics, *_PROCESS.collect()]))
    return generate_latest(registry)


class Numbers:
    """The current value of every metric of a backend and of its requests."""

    def __init__(self, backend: Backend, counts: RequestCounts) -> None:
        self._backend, self._counts = backend, counts

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._requests()
        yield from self._writes()
        yield from self._projections()
        yield from self._rebuilds()
        yield from self._scrub()
        yield from self._stored()
        yield from self._hooks()

    def _requests(self) -> Iterator[Metric]:
        counted = [*self._counts.durations.items()]
        seconds = HistogramMetricFamily(
            f"{_PREFIX}request_seconds",
            "Duration of requests in seconds, by operation and status.",
            labels=["operation", "status"],
        )
        for (operation, status), durations in counted:
            seconds.add_metric([operation, str(status)], *_buckets(durations))
        yield seconds
        uploads = sum(
            sum(durations.counts)
            for (operation, status), durations in counted
            if operation in _UPLOADS and status < 300
        )
        resumable = self._backend.uploads
        recorded = uploads + resumable.finished
        yield _counter("uploads", "Uploads recorded or replayed.", recorded)
        yield _gauge("unfinished_uploads", "Resumable uploads that lack bytes.", len(resumable))
        yield _gauge("unfinished_upload_bytes", "Bytes that have arrived of them.", resumable.size)
        yield _counter("expired_uploads", "Unfinished uploads removed by age.", resumable.expired)
        yield _counter("received_bytes", "Bytes of request bodies received.", self._counts.received)
        yield _counter("sent_bytes", "Bytes of response bodies sent.", self._counts.sent)
        if (kept := self._counts.kept) is not None:
            yield _counter("kept_answers", "Answers that were sent again.", kept.used)
            yield _gauge("kept_answer_bytes", "Bytes of all kept answers.", kept.bytes)
        refused = CounterMetricFamily(
            f"{_PREFIX}refused", "Requests that a limit refused.", labels=["limit"]
        )
        for limit in sorted({*REFUSING, *self._counts.refused}):
            refused.add_metric([limit], self._counts.refused[limit])
        yield refused
        behind = self._counts.searches_behind
        yield _counter("searches_behind", "Searches answered before the index had all.", behind)

    def _writes(self) -> Iterator[Metric]:
        committer = self._backend.committer
        waiting, seconds = committer.slots.taken, committer.seconds
        yield _gauge("writes_waiting", "Writes in the queue.", waiting)
        behind = committer.clock.lag.total_seconds()
        yield _gauge("clock_behind_seconds", "Seconds behind the last event's time.", behind)
        damaged = self._backend.ledger.contents.damaged
        yield _gauge("damaged_contents", "Contents found damaged and not repaired.", damaged)
        refused = committer.failure or self._backend.ledger.contents.failure
        yield _gauge("read_only", "1 while writes, or large ones, are refused.", bool(refused))
        files = len(self._backend.projections.damaged) + bool(self._counts.log_damage)
        yield _gauge("damaged_files", "Files of tables and log found damaged.", files)
        yield _gauge("committer_silence_seconds", "Since the last sign of it.", committer.silence)
        yield _histogram("group_size", "Commands per group commit.", committer.groups)
        yield _histogram("commit_seconds", "Seconds per group commit, tables included.", seconds)

    def _projections(self) -> Iterator[Metric]:
        head, runners = self._backend.feed.head(), self._backend.projections.runners
        yield _gauge("position", "Position of the last event in the log.", head)
        lag = GaugeMetricFamily(
            f"{_PREFIX}projection_lag", "Events not applied yet.", labels=["projection"]
        )
        stalled = GaugeMetricFamily(
            f"{_PREFIX}projection_stalled", "1 if a projection stopped.", labels=["projection"]
        )
        poison = GaugeMetricFamily(
            f"{_PREFIX}projection_poison_position",
            "Position of the event that a projection cannot apply.",
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
        yield _gauge("generation", "Number of the generation of tables in use.", generation.number)
        yield _gauge("rebuilding", "1 while a rebuild runs.", bool(rebuilds.building))
        ended = CounterMetricFamily(
            f"{_PREFIX}rebuilds", "Ended rebuilds, by result.", labels=["result"]
        )
        for result in RESULTS:
            ended.add_metric([result], rebuilds.counts[result])
        yield ended

    def _scrub(self) -> Iterator[Metric]:
        scrub = self._backend.scrub
        yield _counter("scrubbed", "Contents and parts of the log read again.", scrub.checked)
        yield _counter("scrubbed_bytes", "Bytes of contents read again.", scrub.size)
        yield _gauge("scrub_late_seconds", "How long a part has been due.", scrub.late)
        if scrub.oldest_check is not None:
            age = max(0.0, time.time() - scrub.oldest_check)
            yield _gauge("scrub_oldest_check_seconds", "Since the oldest check of a part.", age)
        damaged = len(scrub.damaged_log)
        yield _gauge("damaged_log_parts", "Parts of the log found damaged.", damaged)

    def _stored(self) -> Iterator[Metric]:
        """Yield what the last measurement found: nothing is read for this."""
        collect = self._backend.collect
        contents = GaugeMetricFamily(f"{_PREFIX}contents", "Contents, by state.", labels=["state"])
        size = GaugeMetricFamily(
            f"{_PREFIX}content_bytes", "Bytes of contents, by state.", labels=["state"]
        )
        for state, found in collect.sizes.items():
            contents.add_metric([state], found.contents)
            size.add_metric([state], found.size)
        yield from (contents, size)
        yield _gauge("content_bytes_age_seconds", "Since these were measured.", collect.age)

    def _hooks(self) -> Iterator[Metric]:
        hooks, head = self._backend.hooks, self._backend.feed.head()
        lag = GaugeMetricFamily(
            f"{_PREFIX}hook_lag", "Events not sent to a webhook yet.", labels=["hook"]
        )
        failing = GaugeMetricFamily(
            f"{_PREFIX}hook_failing_seconds", "Since a webhook fails.", labels=["hook"]
        )
        attempts = CounterMetricFamily(
            f"{_PREFIX}hook_attempts", "Messages sent, by result.", labels=["hook", "result"]
        )
        for hook in hooks.all():
            lag.add_metric([hook.id], max(0, head - hook.position))
            failing.add_metric([hook.id], hooks.failing_seconds(hook))
            attempts.add_metric([hook.id, "arrived"], hook.delivered)
            attempts.add_metric([hook.id, "failed"], hook.failed)
        yield from (lag, failing, attempts)


def connection_metrics(
    connections: int, unread: int, bodies: int, closed: Mapping[str, int], reasons: Iterable[str]
) -> Iterator[Metric]:
    """Yield the metrics of the connections and of the memory that their clients hold."""
    yield _gauge("connections", "Open connections.", connections)
    yield _gauge("unread_bytes", "Bytes of answers that clients have not read.", unread)
    yield _gauge("body_bytes", "Bytes of JSON bodies that arrive.", bodies)
    ended = CounterMetricFamily(
        f"{_PREFIX}connections_closed", "Connections that a limit closed.", labels=["reason"]
    )
    for reason in reasons:
        ended.add_metric([reason], closed[reason])
    yield ended


def server_metrics(
    free_bytes: int, backup_age: float | None, key_age: float | None
) -> Iterator[Metric]:
    """Yield the metrics of the disk, of the last backup, and of the fetched keys of JWTs."""
    yield _gauge("free_bytes", "Free bytes on the disk of the data folder.", free_bytes)
    if backup_age is not None:
        yield _gauge("backup_age_seconds", "Since the last backup was made.", backup_age)
    if key_age is not None:
        yield _gauge("jwt_keys_age_seconds", "Since the keys of JWTs were fetched.", key_age)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, about, value=value)


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, about, value=value)


def _histogram(name: str, about: str, counted: Histogram) -> Metric:
    buckets, total = _buckets(counted)
    return HistogramMetricFamily(_PREFIX + name, about, buckets=buckets, sum_value=total)


def _buckets(counted: Histogram) -> tuple[list[tuple[str, float]], float]:
    """Return cumulative buckets, as Prometheus counts them, and the sum."""
    buckets, below = [], 0
    for bound, count in zip((*counted.bounds, "+Inf"), [*counted.counts], strict=True):
        below += count
        buckets.append((str(bound), float(below)))
    return buckets, counted.total
