"""The promises of every EventLog, as tests. An adapter subclasses them and provides `log`."""

import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import (
    FieldError,
    JobStateError,
    KeyReusedError,
    TooLargeError,
    VersionConflictError,
)
from asset_ledger.ledger.ids import digest_of
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import (
    Appended,
    Command,
    EventLog,
    Head,
    LogReader,
    Outcome,
    Tag,
)
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.merkle.tiles import WIDTH
from asset_ledger.ledger.merkle.tree import Tree, leaf_hash, leaf_of
from tests.builders import (
    asset_id,
    command,
    command_key,
    created,
    deleted,
    finished,
    restored,
    started,
)


def ignore(_: Sequence[Recorded]) -> None:
    """Prepare nothing."""


def creation(number: int, **given: Any) -> Command:
    return command(created(originator_id=asset_id(number), **given))


def append(log: EventLog, *commands: Command) -> list[Outcome]:
    return log.append(commands, ignore)


def appended(log: EventLog, *commands: Command) -> list[Appended]:
    outcomes = append(log, *commands)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Appended)]


def positions(log: LogReader, tag: Tag | None = None) -> list[int]:
    return [stored.id for stored in log.read(0, 1000, tag=tag)]


class EventLogContract:
    """The tests of an EventLog. Each gets an empty log."""

    @pytest.fixture
    def log(self) -> EventLog:
        raise LookupError("an adapter provides its own log")

    def test_append_gives_consecutive_positions_in_command_order(self, log: EventLog) -> None:
        first, second = appended(log, creation(1), command(*folder_of_two()))

        assert (first.first, first.last) == (1, 1)
        assert (second.first, second.last) == (2, 3)
        assert positions(log) == [1, 2, 3]
        assert log.head().position == 3

    def test_a_refused_command_leaves_no_event_and_no_gap(self, log: EventLog) -> None:
        before, refused, after = append(log, creation(1), creation(1), creation(2))

        assert isinstance(refused, VersionConflictError)
        assert isinstance(before, Appended)
        assert isinstance(after, Appended)
        assert (before.last, after.first) == (1, 2)
        assert positions(log) == [1, 2]

    def test_append_records_all_events_of_a_command_or_none(self, log: EventLog) -> None:
        half_wrong = command(created(originator_id=asset_id(1)), deleted(originator_id=asset_id(2)))

        (outcome,) = append(log, half_wrong)

        assert isinstance(outcome, VersionConflictError)
        assert positions(log) == []

    @pytest.mark.parametrize("version", [1, 3])
    def test_append_refuses_an_event_without_the_next_version(
        self, log: EventLog, version: int
    ) -> None:
        appended(log, creation(1))

        stale = deleted(originator_id=asset_id(1), originator_version=version)

        (outcome,) = append(log, command(stale))
        assert isinstance(outcome, VersionConflictError)

    def test_append_refuses_a_command_with_a_changed_guard(self, log: EventLog) -> None:
        appended(log, creation(1))
        guarded = command(created(originator_id=asset_id(2)), guards={asset_id(1): 1})
        appended(log, command(deleted(originator_id=asset_id(1))))

        (outcome,) = append(log, guarded)

        assert isinstance(outcome, VersionConflictError)
        assert positions(log) == [1, 2]

    def test_append_refuses_a_guard_changed_by_the_same_group(self, log: EventLog) -> None:
        appended(log, creation(1))

        outcomes = append(
            log,
            command(deleted(originator_id=asset_id(1))),
            command(created(originator_id=asset_id(2)), guards={asset_id(1): 1}),
        )

        assert isinstance(outcomes[0], Appended)
        assert isinstance(outcomes[1], VersionConflictError)

    def test_append_records_a_command_with_an_unchanged_guard(self, log: EventLog) -> None:
        appended(log, creation(1))

        appended(log, command(created(originator_id=asset_id(2)), guards={asset_id(1): 1}))

        assert positions(log) == [1, 2]

    def test_append_with_a_used_key_returns_the_first_outcome(self, log: EventLog) -> None:
        keyed = command(created(originator_id=asset_id(1)), key=command_key())
        repeated = command(created(originator_id=asset_id(2)), key=command_key())

        (first,) = appended(log, keyed)
        (second,) = appended(log, repeated)

        assert (second.first, second.last) == (first.first, first.last)
        assert (first.replayed, second.replayed) == (False, True)
        assert positions(log) == [1]

    def test_append_with_a_key_twice_in_a_group_records_once(self, log: EventLog) -> None:
        first, second = appended(
            log,
            command(created(originator_id=asset_id(1)), key=command_key()),
            command(created(originator_id=asset_id(2)), key=command_key()),
        )

        assert (first.first, second.first, second.replayed) == (1, 1, True)
        assert positions(log) == [1]

    @pytest.mark.parametrize("other", [{"fingerprint": "g"}, {"operation": "delete-asset"}])
    def test_append_refuses_a_key_of_another_request(self, log: EventLog, other: Any) -> None:
        appended(log, command(created(originator_id=asset_id(1)), key=command_key()))

        (outcome,) = append(
            log, command(created(originator_id=asset_id(2)), key=command_key(**other))
        )

        assert isinstance(outcome, KeyReusedError)
        assert positions(log) == [1]

    def test_two_users_may_use_the_same_key(self, log: EventLog) -> None:
        appended(
            log,
            command(created(originator_id=asset_id(1)), key=command_key()),
            command(created(originator_id=asset_id(2)), key=command_key(user_id="2")),
        )

        assert positions(log) == [1, 2]

    def test_a_refused_command_does_not_use_its_key(self, log: EventLog) -> None:
        appended(log, creation(1))
        append(log, command(created(originator_id=asset_id(1)), key=command_key()))

        assert log.find_command("1", "k") is None
        appended(log, command(created(originator_id=asset_id(2)), key=command_key()))
        assert log.find_command("1", "k") == (command_key(), 2, 2)

    def test_append_omits_a_command_refused_by_prepare(self, log: EventLog) -> None:
        def refuse_second(recorded: Sequence[Recorded]) -> str:
            if recorded[0].event.originator_id == asset_id(2):
                raise FieldError("name", "cannot be shown")
            return "prepared"

        first, second, third = log.append([creation(1), creation(2), creation(3)], refuse_second)

        assert isinstance(first, Appended)
        assert first.prepared == "prepared"
        assert isinstance(second, FieldError)
        assert isinstance(third, Appended)
        assert positions(log) == [1, 2]

    def test_an_event_above_the_limit_does_not_affect_other_commands(self, log: EventLog) -> None:
        huge = creation(1, job_id="j", private={"name": "x" * 60_000})

        outcome, _ = append(log, huge, creation(2, job_id="j"))

        assert isinstance(outcome, TooLargeError)
        assert positions(log) == [1]
        assert job_seqs(log, "1", "j") == [1]

    def test_recorded_at_never_decreases(self, log: EventLog) -> None:
        for number in range(1, 6):
            appended(log, creation(number))

        times = [Codec().decode(stored).event.recorded_at for stored in log.read(0, 10)]
        stamped = [time for time in times if time is not None]
        assert len(stamped) == 5
        assert stamped == sorted(stamped)
        assert log.head().recorded_at == stamped[-1]

    def test_job_seq_counts_the_events_of_each_job_of_each_user(self, log: EventLog) -> None:
        appended(
            log,
            command(started()),
            creation(1, job_id="j"),
            creation(2, job_id="j", user_id="2"),
            creation(3, job_id="other"),
            creation(4),
        )
        appended(log, creation(5, job_id="j"), command(finished()))

        assert job_seqs(log, "1", "j") == [1, 2, 3, 4]
        assert job_seqs(log, "2", "j") == [1]
        assert job_seqs(log, "1", "other") == [1]

    def test_events_have_the_attempt_that_they_name_or_the_last_one(self, log: EventLog) -> None:
        appended(
            log,
            creation(1, job_id="j"),
            command(started(attempt=1)),
            command(finished(attempt=1)),
            creation(2, job_id="j"),
            command(started(attempt=2, originator_version=3)),
            creation(3, job_id="j"),
            creation(4, job_id="j", attempt=1),
            creation(5, job_id="j", user_id="2"),
            creation(6),
        )

        events: list[Any] = [Codec().decode(stored).event for stored in log.read(0, 10)]
        assert [event.attempt for event in events] == [1, 1, 1, 1, 2, 2, 1, 1, None]
        assert [event.late for event in events] == [n in (3, 6) for n in range(9)]

    def test_an_event_of_an_attempt_that_has_not_begun_is_refused(self, log: EventLog) -> None:
        early, own, other = append(
            log,
            creation(1, job_id="j", attempt=2),
            creation(2, job_id="j"),
            creation(3, job_id="k", attempt=3),
        )

        assert isinstance(early, JobStateError)
        assert str(early).startswith("attempt 2 of job j has not begun")
        assert isinstance(own, Appended)
        assert isinstance(other, JobStateError)
        assert positions(log) == [1]

    def test_the_end_of_a_job_contains_the_number_of_its_events(self, log: EventLog) -> None:
        appended(log, command(started()), creation(1, job_id="j"), command(finished()))

        last = Codec().decode(log.read(2, 1)[0]).event
        assert last.events == 3  # type: ignore[attr-defined]

    def test_read_by_tag_returns_only_events_of_its_user(self, log: EventLog) -> None:
        tags = {"workflow_id": "w", "node_id": "n", "job_id": "j"}
        appended(
            log, creation(1, **tags), creation(2, user_id="2", **tags), creation(3, job_id="j")
        )

        assert positions(log, Tag("1", "workflow", "w")) == [1]
        assert positions(log, Tag("1", "node", "n")) == [1]
        assert positions(log, Tag("1", "job", "j")) == [1, 3]
        assert positions(log, Tag("2", "job", "j")) == [2]
        assert positions(log, Tag("1", "job", "J")) == []

    def test_read_returns_events_after_a_position_up_to_another(self, log: EventLog) -> None:
        appended(log, *(creation(n, job_id="j") for n in range(1, 10)))
        tag = Tag("1", "job", "j")

        assert [stored.id for stored in log.read(3, 2)] == [4, 5]
        assert [stored.id for stored in log.read(3, 10, upto=6)] == [4, 5, 6]
        assert [stored.id for stored in log.read(3, 2, tag=tag)] == [4, 5]
        assert [stored.id for stored in log.read(3, 10, tag=tag, upto=6)] == [4, 5, 6]
        last = log.read(3, 2, tag=tag, upto=6, newest_first=True)
        assert [stored.id for stored in last] == [6, 5]
        newest, _ = log.read(1, 2, newest_first=True)
        assert newest.id == log.head().position
        assert log.read(9, 10) == []

    def test_stream_returns_events_up_to_a_position_or_of_a_topic(self, log: EventLog) -> None:
        appended(log, creation(1), creation(2))
        appended(log, command(deleted(originator_id=asset_id(1))))

        assert [stored.id for stored in log.stream(asset_id(1))] == [1, 3]
        assert [stored.id for stored in log.stream(asset_id(1), upto=2)] == [1]
        assert [stored.id for stored in log.stream(asset_id(1), topics=["asset.deleted"])] == [3]
        assert log.stream(asset_id(1), upto=2, topics=["asset.deleted"]) == []
        assert log.stream(asset_id(9)) == []
        versions = [log.version_at(asset_id(1), position) for position in (0, 1, 2, 3)]
        assert versions == [0, 1, 1, 2]
        assert (log.version_at(asset_id(1)), log.version_at(asset_id(9))) == (2, 0)

    def test_leaf_hash_is_the_hash_of_the_stored_bytes(self, log: EventLog) -> None:
        (outcome,) = appended(log, command(*folder_of_two()))

        for stored in log.read(0, 10):
            leaf = leaf_of(
                str(stored.originator_id), stored.originator_version, stored.topic, stored.state
            )
            assert log.leaf_hash(stored.id) == leaf_hash(leaf)
        assert outcome.leaf == log.leaf_hash(2)
        assert log.leaf_hash(3) is None

    def test_leaf_hashes_returns_hashes_after_a_position_in_order(self, log: EventLog) -> None:
        appended(log, *(creation(n) for n in range(1, 6)))

        each = [log.leaf_hash(position) for position in range(1, 6)]
        assert list(log.leaf_hashes(0, 10)) == each
        assert list(log.leaf_hashes(1, 2)) == each[1:3]
        assert list(log.leaf_hashes(5, 10)) == []

    @pytest.mark.slow  # 65,536 events
    def test_full_tile_is_readable_with_its_last_event(self, log: EventLog) -> None:
        for first in range(1, WIDTH**2, 4_096):  # a database ends transactions that take long
            appended(log, *(creation(n) for n in range(first, min(first + 4_096, WIDTH**2))))
        assert log.full_tile(1, 0) is None

        appended(log, *(creation(WIDTH**2 + n) for n in range(3)))

        tree = Tree(log.leaf_hashes(0, WIDTH**2))
        assert log.full_tile(1, 0) == b"".join(tree.node(8, n) for n in range(WIDTH))
        assert log.full_tile(1, 1) is None
        assert log.full_tile(2, 0) is None

    def test_keep_checkpoint_stores_one_checkpoint_per_size(self, log: EventLog) -> None:
        assert log.keep_checkpoint(2, "two") == "two"
        assert log.keep_checkpoint(2, "two again") == "two"
        assert log.keep_checkpoint(7, "seven") == "seven"
        assert log.keep_checkpoint(3, "three") == "three"

        assert list(log.checkpoints(0, 10)) == [(2, "two"), (3, "three"), (7, "seven")]
        assert list(log.checkpoints(2, 1)) == [(3, "three")]
        assert list(log.checkpoints(7, 10)) == []

    def test_read_returns_the_appended_events(self, log: EventLog) -> None:
        (outcome,) = appended(log, creation(1, job_id="j", private={"name": "猫🐈"}))

        assert [Codec().decode(stored) for stored in log.read(0, 10)] == list(outcome.recorded)

    def test_a_log_is_opened_once(self, log: EventLog, tmp_path: Path) -> None:
        late: Any = SimpleNamespace(  # the loser of a race: it saw an empty log
            append=log.append, read=log.read, head=lambda: Head(0, None)
        )

        first, second = (
            open_identity(each, Codec(), tmp_path / "key", new_log_id=asset_id(number))
            for number, each in enumerate((log, late), 1)
        )

        assert (first.log_id, second) == (asset_id(1), first)
        assert positions(log) == [1]

    def test_a_tailing_reader_sees_every_event_once(self, log: EventLog) -> None:
        groups, size, seen = 150, 7, list[int]()

        def tail() -> None:
            while len(seen) < groups * size:
                seen.extend(stored.id for stored in log.read(seen[-1] if seen else 0, 11))

        reader = threading.Thread(target=tail)
        reader.start()
        for group in range(groups):
            appended(log, *(creation(group * size + n + 1) for n in range(size)))
        reader.join()

        assert seen == list(range(1, groups * size + 1))

    def test_contents_that_later_events_need_are_those_they_name_or_restore(
        self, log: EventLog
    ) -> None:
        first, second = (digest_of(content) for content in (b"first", b"second"))
        appended(log, creation(1, digest=first), creation(2, digest=second))
        appended(log, command(deleted()))
        appended(log, command(restored()))

        needed = [log.needed(after, upto) for after, upto in ((0, 1), (1, 3), (2, 3), (2, 4))]
        assert needed == [{first}, {second}, set(), {first}]


def folder_of_two() -> list[Any]:
    """Return two events of two streams."""
    return [created(originator_id=asset_id(11)), created(originator_id=asset_id(12))]


def job_seqs(log: EventLog, user_id: str, job_id: str) -> list[int]:
    """Return the `job_seq` of each event of a job, in order."""
    stored = log.read(0, 1000, tag=Tag(user_id, "job", job_id))
    return [Codec().decode(event).event.job_seq for event in stored]  # type: ignore[attr-defined]
