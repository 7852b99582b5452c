"""The SDK retries after network failures, records once, and gives up in the end."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import orjson
import pytest

from asset_ledger import Asset, ProcessingContext, connect
from asset_ledger.api.sdk import stream
from asset_ledger.api.sdk.client import Client
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
    answers,
    answers_502,
    cuts_the_answer,
    drops_the_answer,
    drops_the_request,
    forwards,
    in_turn,
    network,
    repeats_the_request,
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
    "spoil",
    [
        drops_the_request,
        drops_the_answer,
        cuts_the_answer,
        answers_502,
        repeats_the_request,
        answers(problem("outcome-unknown", 503)),
    ],
)
async def test_a_create_over_a_failing_network_records_one_asset(
    api: Api, spoil: Behaviour
) -> None:
    async with network(in_turn(spoil, spoil, forwards), api.url) as between:
        context = context_at(between.url, RetryPolicy(first=0.001, sleep=no_pause))

        asset = await context.create_asset("a", content=b"x" * 100_000)

        assert await asset.content() == b"x" * 100_000
    assert await recorded(api) == ["a"]


async def test_the_attempts_of_one_call_share_a_key_and_two_calls_have_two_keys(api: Api) -> None:
    async with network(in_turn(drops_the_answer, forwards), api.url) as between:
        context = context_at(between.url)
        await context.create_asset("a", content=b"x")
        await context.create_asset("a", content=b"x")

        keys = [exchange.headers["idempotency-key"] for exchange in between.seen]

    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert await recorded(api) == ["a", "a"]


async def test_a_source_that_cannot_be_rewound_is_sent_again_after_a_failure(api: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(20):
            yield b"%06d" % number * 20_000

    async with network(in_turn(cuts_the_answer, drops_the_request, forwards), api.url) as between:
        asset = await context_at(between.url).create_asset("a", content=pieces())

    assert asset.size == 20 * 120_000
    assert await recorded(api) == ["a"]


async def test_a_delete_returns_the_deleted_ids_after_its_first_answer_was_lost(api: Api) -> None:
    async with network(in_turn(drops_the_answer, forwards), api.url) as between:
        asset = await context_at(between.url).create_asset("a", content=b"x")

        assert await asset.delete() == [asset.id]


async def test_a_download_resumes_after_each_broken_answer(api: Api) -> None:
    whole = random.Random(1).randbytes(3 * MIB)
    async with network(
        in_turn(cuts_the_answer, cuts_the_answer, cuts_the_answer, forwards), api.url
    ) as between:
        context = context_at(between.url)
        asset = await context.create_asset("a", content=whole)

        assert await asset.content() == whole

    assert [e.headers.get("range") is None for e in between.seen if b"/content" in e.request] == [
        True,
        False,
        False,
        False,
    ]


async def test_a_download_fails_if_the_content_was_replaced_meanwhile() -> None:
    short = answer(200, b"new", ETag='"b"')
    broken = answer(200, b"old content", ETag='"a"')[:-5]
    async with network(in_turn(answers(broken), answers(short))) as between:
        gateway = RemoteGateway(between.url, retry=QUICK)

        with pytest.raises(VersionConflictError, match="was replaced while it was read"):
            _ = [piece async for piece in gateway.chunks("0" * 32)]
        await gateway.close()


async def test_a_download_without_progress_is_given_up() -> None:
    async with network(answers(answer(200, b"x")[:-1])) as between:
        gateway = RemoteGateway(between.url, retry=RetryPolicy(attempts=3, first=0.001))

        with pytest.raises(UnreachableError):
            _ = [piece async for piece in gateway.chunks("0" * 32)]
        assert len(between.seen) == 3
        await gateway.close()


def sent_events(*positions: int) -> bytes:
    """Return the answer of a stream that began at position 7 and has these events, and is cut."""
    event = {"position": 0, "topic": "asset.created"}
    texts = [
        b"id: %d\ndata: %b\n\n" % (n, orjson.dumps(event | {"position": n})) for n in positions
    ]
    body = b"retry: 1000\n" + b": a comment\n" + b"".join(texts) + b"id: 99\ndata: {"
    return answer(200, body + b"more", Ledger_Position="7")[:-4]


@pytest.mark.slow
async def test_events_continue_where_the_last_connection_ended() -> None:
    """Also if it sent no event: then after the position where it began."""
    streams = (sent_events(), sent_events(8, 9), answer(502), sent_events(), sent_events(10))
    async with network(in_turn(*map(answers, streams))) as between:
        gateway = RemoteGateway(between.url, retry=RetryPolicy(attempts=1))
        found = gateway.events([])

        assert [(await anext(found))["position"] for _ in range(3)] == [8, 9, 10]

        sent = [exchange.headers.get("last-event-id") for exchange in between.seen]
        assert sent == [None, "7", "9", "9", "9"]
        await found.aclose()
        await gateway.close()


async def test_events_are_given_up_after_failures_not_after_an_idle_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With no patience, events end at the second failure in a row."""
    monkeypatch.setattr(stream, "PAUSE", 0.001)
    behaviours = (*map(answers, (sent_events(), sent_events(8))), answers_502)
    async with network(in_turn(*behaviours)) as between:
        client = Client(between.url, None, RetryPolicy(attempts=1))
        found = stream.follow(client, [], patience=0)

        assert (await anext(found))["position"] == 8
        with pytest.raises(UnavailableError):
            await anext(found)

        assert len(between.seen) == 3
        await client.close()


async def test_a_search_and_totals_wait_for_the_last_write_of_their_connection(api: Api) -> None:
    async with network(forwards, api.url) as between, connect(between.url):
        for number in range(3):
            context = ProcessingContext(job_id="j")
            asset = await context.create_asset(f"word{number}", content=b"x")
            assert (await Asset.paginate(query=f"word{number}"))[0] == [asset]
            assert (await Asset.usage(group_by="job_id"))[0].count == number + 1
            for exchange in between.seen[-2:]:
                assert f"min_position={asset.position}".encode() in exchange.request


async def test_a_refused_request_is_not_repeated(api: Api) -> None:
    async with network(forwards, api.url) as between:
        with pytest.raises(FieldError):
            await context_at(between.url).create_asset("", content=b"x")

        assert len(between.seen) == 1


async def test_a_ledger_without_a_server_is_unreachable(unused_tcp_port: int) -> None:
    retry, url = RetryPolicy(attempts=3, first=0.001), f"http://127.0.0.1:{unused_tcp_port}"

    with pytest.raises(UnreachableError, match=f"^cannot reach {url}: "):
        await context_at(url, retry).find_asset("0" * 32)


async def calls_until_it_gives_up(url: str) -> tuple[int, float, str]:
    """Return the number of pauses of a call, their sum in seconds, and its error."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    gateway = RemoteGateway(url, retry=RetryPolicy(sleep=sleep))
    with pytest.raises(UnreachableError) as raised:
        await gateway.find("0" * 32)
    await gateway.close()
    return len(pauses), sum(pauses), str(raised.value)


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}"])
async def test_a_wrong_address_is_given_up_after_pauses_of_two_seconds_at_most(
    unused_tcp_port: int, address: str
) -> None:
    url = f"http://{address.format(port=unused_tcp_port)}"

    pauses, seconds, message = await calls_until_it_gives_up(url)

    assert 1 <= pauses <= 4
    assert seconds <= 1.5
    assert message.startswith(f"cannot reach {url}: ")
    assert "\n" not in message


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"-ERR unknown command\r\n"])
async def test_an_address_without_an_http_server_is_given_up_like_a_wrong_one(sent: bytes) -> None:
    async with network(answers(sent)) as between:
        pauses, seconds, message = await calls_until_it_gives_up(between.url)

    assert 1 <= pauses <= 4
    assert seconds <= 1.5
    assert "\n" not in message


async def test_a_name_without_an_address_is_given_up() -> None:
    pauses, seconds, message = await calls_until_it_gives_up("http://no-such-host.invalid:7777")

    assert pauses <= 4
    assert seconds <= 1.5
    assert message.startswith("cannot reach http://no-such-host.invalid:7777: ")
    assert "\n" not in message


@pytest.mark.parametrize("first", [answer(200, b"{}"), answer(404, b"{}"), answer(502)])
async def test_a_server_that_answered_before_is_retried_eight_times(first: bytes) -> None:
    async with network(in_turn(answers(first), drops_the_request)) as between:
        pauses: list[float] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        gateway = RemoteGateway(between.url, retry=RetryPolicy(sleep=sleep))
        with suppress(LedgerError):
            await gateway.find("1" * 32)
        pauses.clear()

        with pytest.raises(UnreachableError):
            await gateway.find("1" * 32)
        await gateway.close()

    assert len(pauses) == 7


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
async def test_an_answer_without_a_known_problem_raises_by_its_status(
    answered: bytes, error: type[LedgerError]
) -> None:
    async with network(answers(answered)) as between:
        with pytest.raises(LedgerError) as raised:
            await context_at(between.url).find_asset("0" * 32)

        assert type(raised.value) is error
        assert len(between.seen) == 1


async def test_a_rate_limited_client_retries_after_the_retry_after_header(api: Api) -> None:
    limited = answers(problem("rate-limited", 429, Retry_After="0"))
    async with network(in_turn(limited, limited, forwards), api.url) as between:
        await context_at(between.url).create_asset("a", content=b"x")

        assert len(between.seen) == 3
    assert await recorded(api) == ["a"]


async def test_a_rate_limited_client_without_retry_after_gives_up(api: Api) -> None:
    async with network(answers(problem("rate-limited", 429))) as between:
        with pytest.raises(RateLimitedError, match="it is rate-limited"):
            await context_at(between.url).create_asset("a", content=b"x")

        assert len(between.seen) == 1


async def test_a_large_content_is_not_sent_if_it_is_refused(data_dir_settings: Settings) -> None:
    async with serving(data_dir_settings) as api, connect(api.url):
        with pytest.raises(TooLargeError):
            await ProcessingContext().create_asset("a", content=bytes(50 * MIB))

        await ProcessingContext().create_asset("b", content=bytes(MIB))


async def test_a_token_is_sent_with_every_request() -> None:
    async with network(answers(answer(200, b"{}"))) as between:
        async with connect(between.url, token="secret") as gateway:
            await gateway.find("0" * 32)

        assert between.seen[0].headers["authorization"] == "Bearer secret"


def test_a_gateway_works_in_one_event_loop_after_another(unused_tcp_port: int) -> None:
    empty = answers(answer(200, b'{"assets":[],"next":""}'))

    async def list_assets() -> None:
        async with network(empty, port=unused_tcp_port):
            assert await Asset.paginate(gateway=gateway) == ([], "")

    gateway = RemoteGateway(f"http://127.0.0.1:{unused_tcp_port}")
    asyncio.run(list_assets())
    asyncio.run(list_assets())


class TestRetryPolicy:
    """`RetryPolicy`: how long it waits, and after which errors."""

    async def pauses_after(self, *errors: LedgerError) -> list[float]:
        """Return the pauses between attempts, each of which raises the next error."""
        pauses: list[float] = []
        rest = iter(errors)

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        async def attempt() -> None:
            for error in rest:
                raise error

        await RetryPolicy(sleep=sleep).run(attempt)
        return pauses

    async def test_the_pauses_grow_and_are_limited(self) -> None:
        pauses = await self.pauses_after(*(UnreachableError() for _ in range(7)))

        assert 0.05 <= pauses[0] <= 0.1
        assert 0.1 <= pauses[1] <= 0.2
        assert 2.5 <= pauses[6] <= 5.0

    async def test_a_retry_after_is_waited_for(self) -> None:
        error = UnavailableError()
        error.retry_after = 30.0

        (pause,) = await self.pauses_after(error)

        assert 30.0 <= pause <= 31.0

    async def test_a_busy_error_without_a_header_waits_the_seconds_of_its_problem(self) -> None:
        first, second = await self.pauses_after(BusyError(), OutcomeUnknownError())

        assert 1.0 <= first <= 1.2
        assert 1.0 <= second <= 1.3

    async def test_a_retry_after_of_an_hour_raises_at_once(self) -> None:
        error = BusyError()
        error.retry_after = 3600.0

        with pytest.raises(BusyError):
            await self.pauses_after(error)

    async def test_an_unavailable_error_without_retry_after_raises_at_once(self) -> None:
        with pytest.raises(UnavailableError):
            await self.pauses_after(UnavailableError())

    async def test_the_last_attempt_raises_its_error(self) -> None:
        with pytest.raises(UnreachableError, match="the last"):
            await self.pauses_after(
                *(UnreachableError() for _ in range(7)), UnreachableError("the last")
            )


async def no_pause(seconds: float) -> None:
    """Return at once."""


@pytest.mark.slow
async def test_a_thousand_creates_over_a_failing_network_record_a_thousand_assets(
    api: Api,
) -> None:
    spoils = (
        drops_the_request,
        drops_the_answer,
        cuts_the_answer,
        repeats_the_request,
        answers_502,
        delays_the_request,
    )
    chance = random.Random(6)

    async def behave(between: Network, exchange: Exchange) -> bytes | None:
        spoil = chance.random() < 0.6 and exchange.attempt < 6  # the sixth attempt always succeeds
        return await (chance.choice(spoils) if spoil else forwards)(between, exchange)

    async with network(behave, api.url) as between:
        context, limit = context_at(between.url), asyncio.Semaphore(32)

        async def create(number: int) -> Asset:
            async with limit:
                return await context.create_asset(f"{number}", content=b"%d" % number * 1_000)

        made = await asyncio.gather(*(create(number) for number in range(1_000)))

    async with connect(api.url):
        found = [asset async for asset in Asset.iterate(job_id="j")]
    assert len({asset.id for asset in made}) == 1_000
    assert {asset.id: asset for asset in found} == {asset.id: asset for asset in made}
    assert sorted(int(asset.name) for asset in found) == list(range(1_000))
    assert len(between.seen) > 1_500


async def delays_the_request(between: Network, exchange: Exchange) -> bytes | None:
    """The request arrives after later ones."""
    await asyncio.sleep(0.05)
    return await between.forward(exchange)


LARGE = random.Random("large").randbytes(65 * MIB)
"""A content that the SDK uploads in several requests if it has to."""


def broken_off(cut: int) -> Behaviour:
    """The first bytes of each PATCH arrive; then the connection breaks, until `cut` were sent."""

    async def behave(between: Network, exchange: Exchange) -> bytes | None:
        head, _, body = exchange.request.partition(b"\r\n\r\n")
        if not head.startswith(b"PATCH") or len(body) <= cut:
            return await between.forward(exchange)
        await between.send_part(head + b"\r\n\r\n" + body[:cut])
        return None

    return behave


async def test_a_large_content_continues_after_each_broken_connection(api: Api) -> None:
    async with network(broken_off(20 * MIB), api.url) as between:
        asset = await context_at(between.url).create_asset(name="a", content=LARGE)
        patches = [e for e in between.seen if e.request.startswith(b"PATCH")]

    sent = [int(each.headers["content-length"]) for each in patches]
    assert asset.size == len(LARGE)
    assert sent[0] == len(LARGE)
    assert sent == sorted(sent, reverse=True)
    assert sent[-1] <= 20 * MIB
    assert await recorded(api) == ["a"]
    assert (await api.get(f"/api/assets/{asset.id}/content")).body == LARGE


async def test_a_large_content_over_a_failing_network_records_one_asset(api: Api) -> None:
    spoil = in_turn(drops_the_request, drops_the_answer, cuts_the_answer, forwards)

    async with network(spoil, api.url) as between:
        asset = await context_at(between.url).create_asset(name="a", content=LARGE)

    assert asset.digest == f"sha256:{hashlib.sha256(LARGE).hexdigest()}"
    assert await recorded(api) == ["a"]


async def test_a_large_content_is_given_up_without_progress(api: Api) -> None:
    async with network(broken_off(0), api.url) as between:
        context = context_at(between.url, RetryPolicy(attempts=3, first=0.001))
        with pytest.raises(UnreachableError):
            await context.create_asset(name="a", content=LARGE)

    assert len(between.seen) == 2 * 3
