"""A rate for each user: all at once if he likes, then as fast as the bucket fills."""

import pytest

from asset_ledger.api.contract.errors import RateLimitedError
from asset_ledger.api.contract.rates import Rate, read_rate
from asset_ledger.api.http.rates import MAX_BUCKETS, RateLimit


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def limit(spelled: str, clock: Clock) -> RateLimit:
    rate = read_rate(spelled)
    assert rate is not None
    return RateLimit(rate, clock)


def taken(limited: RateLimit, user: str, times: int) -> int:
    """How many of so many requests in a row are let through."""
    for number in range(times):
        try:
            limited.take(user)
        except RateLimitedError:
            return number
    return times


def test_a_bucket_is_full_at_first_and_fills_at_the_rate() -> None:
    clock = Clock()
    limited = limit("10/s", clock)

    assert taken(limited, "alice", 20) == 10
    clock.now += 0.35
    assert taken(limited, "alice", 20) == 3
    clock.now += 3600
    assert taken(limited, "alice", 20) == 10


def test_whoever_is_refused_is_told_when_the_next_request_fits() -> None:
    clock = Clock()
    limited = limit("60/m", clock)
    taken(limited, "alice", 60)
    clock.now += 0.25

    with pytest.raises(RateLimitedError, match="60 requests a minute") as refused:
        limited.take("alice")

    assert refused.value.retry_after == pytest.approx(0.75)
    clock.now += refused.value.retry_after + 1e-6
    limited.take("alice")


def test_one_user_does_not_empty_anothers_bucket() -> None:
    limited = limit("2/h", Clock())

    assert (taken(limited, "alice", 9), taken(limited, "bob", 9)) == (2, 2)


def test_a_user_who_waits_is_not_forgotten_however_many_others_come() -> None:
    clock = Clock()
    limited = limit("1/h", clock)
    limited.take("alice")
    clock.now += 1800
    for number in range(MAX_BUCKETS + 1):
        limited.take(f"user {number}")

    assert taken(limited, "alice", 1) == 0


@pytest.mark.parametrize("spelled", ["", "0/s", "-1/s", "1", "1/d", "1.5/s", "1/ s", "٣/s", "on"])
def test_what_is_no_rate_is_refused(spelled: str) -> None:
    with pytest.raises(ValueError, match="must be off"):
        read_rate(spelled)


def test_off_is_no_rate_and_others_say_what_they_are() -> None:
    assert read_rate("off") is None
    assert str(Rate(1, "an hour", 3600)) == "1 request an hour"
    assert str(read_rate("6000/m")) == "6,000 requests a minute"
