"""Sources of events for commands: the log in a data folder, without a lock, or a server.

Both return the documents of the API, so that a command prints them alike."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import click
import orjson

from asset_ledger.api.cli.opening import reading
from asset_ledger.api.cli.options import hinting_at_user
from asset_ledger.api.contract.event_out import event_out
from asset_ledger.api.contract.events import EVENT_FILTERS, event_filter
from asset_ledger.api.contract.jobs import compared_attempts
from asset_ledger.api.contract.parameters import Parameters, read_as_of
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.job_comparison import compare_records, comparison_document

PAGE: Final = 1_000

POLL: Final = 0.5
"""Seconds between two reads of a log that another process writes."""

Filters = Sequence[tuple[str, str]]
"""Names and values of query parameters. A name may be repeated."""

_FILTERS: Final = Parameters(*EVENT_FILTERS)


class Source(Protocol):
    """What a command reads events from."""

    def job_events(
        self, job_id: str, attempt: int | None, as_of: str | None
    ) -> Iterator[dict[str, Any]]:
        """Yield the events of a job or of one attempt, oldest first. Raises UnknownJobError."""

    def comparison(self, a: str, b: str, attempts: Sequence[int]) -> dict[str, Any]:
        """Return the comparison of two jobs: of these attempts, or of the last ones.

        Raises UnknownJobError.
        """

    def events(self, filters: Filters, after: int | None) -> Iterator[Mapping[str, Any]]:
        """Yield events as they are recorded, for ever: after a position, or from now on."""


class LocalSource:
    """One user's events in a log. A server may run, and tables may be missing."""

    def __init__(self, replay: Replay, user_id: str) -> None:
        self._replay, self._user_id = replay, user_id

    def job_events(
        self, job_id: str, attempt: int | None, as_of: str | None
    ) -> Iterator[dict[str, Any]]:
        upto = None if as_of is None else self._replay.position_as_of(_read_as_of(as_of))
        after = 0
        while page := self._replay.job(
            self._user_id, job_id, after, PAGE, attempt=attempt, upto=upto
        ):
            yield from map(event_out, page)
            after = page[-1].position

    def comparison(self, a: str, b: str, attempts: Sequence[int]) -> dict[str, Any]:
        head, named = self._replay.head(), zip((a, b), compared_attempts(attempts), strict=True)
        first, second = (
            self._replay.job_record(self._user_id, job_id, attempt=attempt, upto=head)
            for job_id, attempt in named
        )
        compared = orjson.dumps(comparison_document(compare_records(first, second, head)))
        return dict(orjson.loads(compared))

    def events(self, filters: Filters, after: int | None) -> Iterator[Mapping[str, Any]]:
        chosen = event_filter(_FILTERS.read(filters), self._user_id)
        position = self._replay.head() if after is None else after
        while True:
            before, (events, position) = position, self._replay.events_after(chosen, position, PAGE)
            yield from map(event_out, events)
            if position == before:
                time.sleep(POLL)


@contextmanager
def open_source(
    data_dir: Path | None, url: str | None, token: str | None, user: str
) -> Iterator[Source]:
    """Open the server at `url` if it is given, else the ledger of `existing_engine`.

    Raises DataFolderError.
    """
    if url is not None:
        from asset_ledger.api.cli.remote import Remote

        yield Remote(url, token)
        return
    with reading(data_dir) as log, hinting_at_user(user):
        yield LocalSource(Replay(log, Codec()), user)


def _read_as_of(text: str) -> Any:
    try:
        return read_as_of(text)
    except ValueError as error:
        raise click.UsageError(f"--as-of {error}") from error
