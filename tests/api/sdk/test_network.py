"""What the network spoils is asked for again, recorded once, and given up in the end."""

import asyncio
import random
from collections.abc import AsyncIterator

import orjson
import pytest

from asset_ledger import Asset, ProcessingContext, connect
from asset_ledger.api.sdk.remote import RemoteGateway
from asset_ledger.api.sdk.retry import RetryPolicy
from asset_ledger.api.settings import Settings
from asset_ledger.errors import (
    BusyError,
    FieldError,
    LedgerError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedError,
    TooLargeError,
    UnavailableError,
    UnreachableError,
    VersionConflictError,
)
from tests.api.running import Api, serving
from tests.api.sdk.network import (
    Behaviour,
    Exchange,
    Network,
    answer,
    halves,
    in_turn,
    loses,
    loses_the_way,
    network,
    passes,
    refuses,
    repeats,
    says,
)

MIB = 1 << 20
QUICK = RetryPolicy(first=0.001)


def problem(slug: str, status: int, **headers: str) -> bytes:
    document = {"type": f"urn:asset-ledger:{slug}", "status": status, "detail": f"it is {slug}"}
    return answer(status, orjson.dumps(document), **headers)


def context_at(url: str, retry: RetryPolicy = QUICK) -> ProcessingContext:
    return ProcessingContext(job_id="j", gateway=RemoteGateway(url, retry=retry))


async def recorded(api: Api) -> list[str]:
    return [asset["name"] for asset in (await api.get("/api/assets")).json["assets"]]


@pytest.mark.parametrize(
    "spoil", [refuses, loses, halves, loses_the_way, repeats, says(problem("outcome-unknown", 503))]
)
async def test_whatever_the_network_does_an_asset_is_made_once(api: Api, spoil: Behaviour) -> None:
    async with network(in_turn(spoil, spoil, passes), api.url) as between:
        context = context_at(between.url, RetryPolicy(first=0.001, sleep=never_mind))

        asset = await context.create_asset("a", content=b"x" * 100_000)

        assert await asset.content() == b"x" * 100_000
    assert await recorded(api) == ["a"]


async def test_all_attempts_of_a_call_have_one_key_and_two_calls_have_two(api: Api) -> None:
    async with network(in_turn(loses, passes), api.url) as between:
        context = context_at(between.url)
        await context.create_asset("a", content=b"x")
        await context.create_asset("a", content=b"x")

        keys = [exchange.headers["idempotency-key"] for exchange in between.seen]

    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert await recorded(api) == ["a", "a"]


async def test_what_cannot_be_rewound_is_sent_again_all_the_same(api: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(20):
            yield b"%06d" % number * 20_000

    async with network(in_turn(halves, refuses, passes), api.url) as between:
        asset = await context_at(between.url).create_asset("a", content=pieces())

    assert asset.size == 20 * 120_000
    assert await recorded(api) == ["a"]


async def test_a_delete_that_was_lost_still_says_what_it_deleted(api: Api) -> None:
    async with network(in_turn(loses, passes), api.url) as between:
        asset = await context_at(between.url).create_asset("a", content=b"x")

        assert await asset.delete() == [asset.id]


async def test_a_download_goes_on_where_it_broke_off(api: Api) -> None:
    whole = random.Random(1).randbytes(3 * MIB)
    async with network(in_turn(halves, halves, halves, passes), api.url) as between:
        context = context_at(between.url)
        asset = await context.create_asset("a", content=whole)

        assert await asset.content() == whole

    assert [e.headers.get("range") is None for e in between.seen if b"/content" in e.request] == [
        True,
        False,
        False,
        False,
    ]


async def test_a_download_never_joins_two_contents() -> None:
    short = answer(200, b"new", ETag='"b"')
    broken = answer(200, b"old content", ETag='"a"')[:-5]
    async with network(in_turn(says(broken), says(short))) as between:
        gateway = RemoteGateway(between.url, retry=QUICK)

        with pytest.raises(VersionConflictError, match="was replaced while it was read"):
            _ = [piece async for piece in gateway.chunks("0" * 32)]
        await gateway.close()


async def test_a_download_that_never_gets_on_is_given_up() -> None:
    async with network(says(answer(200, b"x")[:-1])) as between:
        gateway = RemoteGateway(between.url, retry=RetryPolicy(attempts=3, first=0.001))

        with pytest.raises(UnreachableError):
            _ = [piece async for piece in gateway.chunks("0" * 32)]
        assert len(between.seen) == 3
        await gateway.close()


async def test_a_refusal_is_not_repeated(api: Api) -> None:
    async with network(passes, api.url) as between:
        with pytest.raises(FieldError):
            await context_at(between.url).create_asset("", content=b"x")

        assert len(between.seen) == 1


async def test_a_ledger_that_nobody_serves_is_unreachable(unused_tcp_port: int) -> None:
    retry, url = RetryPolicy(attempts=3, first=0.001), f"http://127.0.0.1:{unused_tcp_port}"

    with pytest.raises(UnreachableError, match=f"^cannot reach {url}: "):
        await context_at(url, retry).find_asset("0" * 32)


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        (problem("of-a-later-release", 400), RefusedError),
        (problem("of-a-later-release", 503), UnavailableError),
        (problem("internal-error", 500), LedgerError),
        (answer(400, b"<html>"), RefusedError),
        (answer(404, b"[]"), RefusedError),
        (answer(500, b"<html>"), LedgerError),
        (answer(200, b"<html>"), LedgerError),
        (answer(302, Location="http://elsewhere.example"), LedgerError),
    ],
)
async def test_what_no_ledger_says_is_told_by_its_status(
    answered: bytes, error: type[LedgerError]
) -> None:
    async with network(says(answered)) as between:
        with pytest.raises(LedgerError) as raised:
            await context_at(between.url).find_asset("0" * 32)

        assert type(raised.value) is error
        assert len(between.seen) == 1


async def test_who_asks_too_often_comes_back_when_he_is_told_to(api: Api) -> None:
    limited = says(problem("rate-limited", 429, Retry_After="0"))
    async with network(in_turn(limited, limited, passes), api.url) as between:
        await context_at(between.url).create_asset("a", content=b"x")

        assert len(between.seen) == 3
    assert await recorded(api) == ["a"]


async def test_who_is_not_told_when_to_come_back_does_not(api: Api) -> None:
    async with network(says(problem("rate-limited", 429))) as between:
        with pytest.raises(RateLimitedError, match="it is rate-limited"):
            await context_at(between.url).create_asset("a", content=b"x")

        assert len(between.seen) == 1


async def test_a_large_content_that_is_refused_is_not_sent(data_dir_settings: Settings) -> None:
    async with serving(data_dir_settings) as api, connect(api.url):
        with pytest.raises(TooLargeError):
            await ProcessingContext().create_asset("a", content=bytes(50 * MIB))

        await ProcessingContext().create_asset("b", content=bytes(MIB))


async def test_a_token_is_shown_with_every_request() -> None:
    async with network(says(answer(200, b"{}"))) as between:
        async with connect(between.url, token="secret") as gateway:
            await gateway.find("0" * 32)

        assert between.seen[0].headers["authorization"] == "Bearer secret"


def test_one_gateway_serves_one_event_loop_after_another(tmp_path: object) -> None:
    async def ask() -> None:
        async with network(says(answer(200, b'{"assets":[],"next":""}'))) as between:
            gateway._client.url = between.url
            assert await Asset.paginate(gateway=gateway) == ([], "")

    gateway = RemoteGateway("http://127.0.0.1:1")
    asyncio.run(ask())
    asyncio.run(ask())


class TestRetryPolicy:
    """How long is waited, and for what."""

    async def waits(self, *errors: LedgerError) -> list[float]:
        """The pauses between attempts of which each raises the next of these."""
        pauses: list[float] = []
        rest = iter(errors)

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        async def attempt() -> None:
            for error in rest:
                raise error

        await RetryPolicy(sleep=sleep).run(attempt)
        return pauses

    async def test_the_second_pause_is_longer_than_the_first_and_none_is_long(self) -> None:
        pauses = await self.waits(*(UnreachableError() for _ in range(7)))

        assert 0.05 <= pauses[0] <= 0.1
        assert 0.1 <= pauses[1] <= 0.2
        assert 2.5 <= pauses[6] <= 5.0

    async def test_who_says_when_to_come_back_is_obeyed(self) -> None:
        error = UnavailableError()
        error.retry_after = 30.0

        (pause,) = await self.waits(error)

        assert 30.0 <= pause <= 31.0

    async def test_a_busy_ledger_is_given_the_time_that_its_table_says(self) -> None:
        first, second = await self.waits(BusyError(), OutcomeUnknownError())

        assert 1.0 <= first <= 1.2
        assert 1.0 <= second <= 1.3

    async def test_an_hour_is_not_waited(self) -> None:
        error = BusyError()
        error.retry_after = 3600.0

        with pytest.raises(BusyError):
            await self.waits(error)

    async def test_waiting_does_not_help_where_nobody_says_so(self) -> None:
        with pytest.raises(UnavailableError):
            await self.waits(UnavailableError())

    async def test_patience_ends(self) -> None:
        with pytest.raises(UnreachableError, match="the last"):
            await self.waits(*(UnreachableError() for _ in range(7)), UnreachableError("the last"))


async def never_mind(seconds: float) -> None:
    """Waiting is not what is tested."""


@pytest.mark.slow
async def test_a_thousand_creates_through_a_network_that_fails_make_a_thousand_assets(
    api: Api,
) -> None:
    spoils = (refuses, loses, halves, repeats, loses_the_way, delays)
    chance = random.Random(6)

    async def behave(between: Network, exchange: Exchange) -> bytes | None:
        spoil = chance.random() < 0.6 and exchange.attempt < 6  # the seventh always arrives
        return await (chance.choice(spoils) if spoil else passes)(between, exchange)

    async with network(behave, api.url) as between:
        context, turns = context_at(between.url), asyncio.Semaphore(32)

        async def create(number: int) -> Asset:
            async with turns:
                return await context.create_asset(f"{number}", content=b"%d" % number * 1_000)

        made = await asyncio.gather(*(create(number) for number in range(1_000)))

    async with connect(api.url):
        found = [asset async for asset in Asset.iterate(job_id="j")]
    assert len({asset.id for asset in made}) == 1_000
    assert {asset.id: asset for asset in found} == {asset.id: asset for asset in made}
    assert sorted(int(asset.name) for asset in found) == list(range(1_000))
    assert len(between.seen) > 1_500


async def delays(between: Network, exchange: Exchange) -> bytes | None:
    """The request arrives late: others overtake it."""
    await asyncio.sleep(0.05)
    return await between.forward(exchange)
