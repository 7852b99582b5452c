"""Rate limits: one bucket for each user, full at first, refilled at the rate."""

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
    """Return how many of these requests in a row are accepted."""
    for number in range(times):
        try:
            limited.take(user)
        except RateLimitedError:
            return number
    return times


def test_a_bucket_is_full_at_first_and_refills_at_the_rate() -> None:
    clock = Clock()
    limited = limit("10/s", clock)

    assert taken(limited, "alice", 20) == 10
    clock.now += 0.35
    assert taken(limited, "alice", 20) == 3
    clock.now += 3600
    assert taken(limited, "alice", 20) == 10


def test_a_refused_request_is_accepted_after_retry_after() -> None:
    clock = Clock()
    limited = limit("60/m", clock)
    taken(limited, "alice", 60)
    clock.now += 0.25

    with pytest.raises(RateLimitedError, match="60 requests a minute") as refused:
        limited.take("alice")

    assert refused.value.retry_after == pytest.approx(0.75)
    clock.now += refused.value.retry_after + 1e-6
    limited.take("alice")


def test_buckets_of_two_users_are_independent() -> None:
    limited = limit("2/h", Clock())

    assert (taken(limited, "alice", 9), taken(limited, "bob", 9)) == (2, 2)


def test_a_limited_user_stays_limited_among_many_other_users() -> None:
    clock = Clock()
    limited = limit("1/h", clock)
    limited.take("alice")
    clock.now += 1800
    for number in range(MAX_BUCKETS + 1):
        limited.take(f"user {number}")

    assert taken(limited, "alice", 1) == 0


@pytest.mark.parametrize("spelled", ["", "0/s", "-1/s", "1", "1/d", "1.5/s", "1/ s", "٣/s", "on"])
def test_an_invalid_rate_is_refused(spelled: str) -> None:
    with pytest.raises(ValueError, match="must be off"):
        read_rate(spelled)


def test_a_rate_is_read_and_printed() -> None:
    assert read_rate("off") is None
    assert str(Rate(1, "an hour", 3600)) == "1 request an hour"
    assert str(read_rate("6000/m")) == "6,000 requests a minute"
