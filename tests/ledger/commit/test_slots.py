"""Slots: what a write that waited too long changes for the next ones."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest

from asset_ledger.ledger.commit import slots as module
from asset_ledger.ledger.commit.slots import LEAST, Slots
from asset_ledger.ledger.errors import BusyError

SIZE = 100
LONGEST = 1.0


class Clock:
    """A clock that a test sets, in place of `time`."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def waiting(slots: Slots, number: int) -> list[AbstractContextManager[None]]:
    """Begin as many waits."""
    begun: list[AbstractContextManager[None]] = [slots.waiting() for _ in range(number)]
    for each in begun:
        each.__enter__()
    return begun


def end(*begun: AbstractContextManager[None]) -> None:
    for each in begun:
        each.__exit__(None, None, None)


def refusal(slots: Slots, user: str) -> str | None:
    """Return the limit that refuses a write of this user; None if it gets a slot."""
    try:
        with slots.take(user):
            return None
    except BusyError as error:
        return error.which


def test_a_write_that_waited_too_long_limits_the_number_that_wait(
    clock: Clock, held: ExitStack
) -> None:
    slots = Slots(SIZE, longest=LONGEST)
    held.enter_context(slots.take("a"))
    late, *others = waiting(slots, 30)
    clock.now = LONGEST + 0.1
    assert refusal(slots, "a") is None  # a burst is accepted until one was late
    end(late)

    assert refusal(slots, "a") == "queue-wait"
    assert refusal(slots, "b") is None  # it has no other write
    end(*others)


def test_writes_in_time_raise_the_limit_one_by_one(clock: Clock, held: ExitStack) -> None:
    slots = Slots(SIZE, longest=LONGEST)
    held.enter_context(slots.take("a"))
    late, *others = waiting(slots, 30)
    clock.now = LONGEST + 0.1
    end(late)  # 29 wait, and 29 may

    end(*waiting(slots, 1))

    assert refusal(slots, "a") is None
    more = waiting(slots, 1)
    assert refusal(slots, "a") == "queue-wait"
    end(*others, *more)


def test_as_many_writes_may_wait_as_a_slow_disk_needs(clock: Clock, held: ExitStack) -> None:
    slots = Slots(SIZE, longest=LONGEST)
    held.enter_context(slots.take("a"))
    for _ in range(3):
        begun = waiting(slots, LEAST)
        clock.now += LONGEST + 0.1
        end(*begun)

    begun = waiting(slots, LEAST - 1)
    assert refusal(slots, "a") is None
    begun += waiting(slots, 1)
    assert refusal(slots, "a") == "queue-wait"
    end(*begun)
