"""Webhooks through HTTP: made, listed, removed; what they get, in which order, and how often."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from asset_ledger.api.hooks import deliveries
from asset_ledger.api.hooks.messages import webhook_messages
from asset_ledger.api.hooks.store import Hooks
from asset_ledger.api.settings import Settings
from tests.api.calling import ALL, caller, serving_with_tokens
from tests.api.hooks.receiving import Receiver, receiving
from tests.api.running import Answer, Api, serving


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(deliveries, "LONGEST_DELAY", 0.05)
    monkeypatch.setattr(deliveries, "SAVE", 0.0)


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=opened_data_dir, hook_addresses="any")) as api:
        yield api


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):  # fails a test that hangs
        while not condition():  # noqa: ASYNC110 - what changes is inside the server
            await asyncio.sleep(0.01)


async def add(api: Any, url: str, **fields: Any) -> Answer:
    answer = await api.call("POST", "/api/hooks", json={"url": url, **fields})
    assert isinstance(answer, Answer)
    return answer


async def added(api: Any, url: str, **fields: Any) -> Any:
    answer = await add(api, url, **fields)
    assert answer.status == 201, answer.body
    return answer.json


async def hooks(api: Any) -> Any:
    return (await api.get("/api/hooks")).json["hooks"]


async def test_events_arrive_in_order_signed_and_as_the_feed_has_them(api: Api) -> None:
    async with receiving() as receiver:
        hook = await added(api, receiver.url)
        for name in "abc":
            await api.created(name=name)
        await until(lambda: len(receiver.accepted) == 3)

        receiver.verify(hook["secret"])
        events = (await api.get("/api/events")).json["events"]
        assert [body["data"] for body in receiver.accepted] == events
        first = receiver.accepted[0]
        assert (first["type"], first["position"]) == ("asset.created", 2)
        assert first["timestamp"] == events[0]["time"]
        assert receiver.requests[0][0]["webhook-id"] == f"{hook['id']}-2"
        await until(lambda: api.backend.hooks.all()[0].position == api.head())
        (listed,) = await hooks(api)
        assert (listed["status"], listed["lag"], listed["delivered"]) == ("live", 0, 3)
        assert "secret" not in listed


async def test_hook_gets_only_what_matches_its_filters(api: Api) -> None:
    async with receiving() as receiver:
        await added(api, receiver.url, topics=["asset.created"], job_id="j", node_id="n")
        await api.created()
        await api.created(job_id="j")
        await api.created(job_id="j", node_id="n")
        await api.call("POST", "/api/jobs/j/finish", json={"status": "completed"})
        await api.created(job_id="j", node_id="n")
        await until(lambda: api.backend.hooks.all()[0].position == api.head())

        assert receiver.positions == [4, 6]


async def test_hook_starts_now_or_after_a_position(api: Api) -> None:
    await api.created()
    async with receiving() as late, receiving() as early:
        await added(api, late.url)
        await added(api, early.url, after=0, all=True)
        await api.created()
        await until(lambda: len(late.accepted) == 1 and len(early.accepted) == 3)

        assert (late.positions, early.positions) == ([3], [1, 2, 3])


async def test_failed_attempts_are_repeated_in_order_with_the_same_id(api: Api) -> None:
    def answer(number: int) -> web.Response:
        return web.Response(status=(503, 500, 200, 302, 200)[min(number, 4)])

    async with receiving(answer) as receiver:
        hook = await added(api, receiver.url)
        await api.created()
        await api.created()
        await until(lambda: len(receiver.accepted) == 2)

        assert receiver.positions == [2, 3]
        ids = [headers["webhook-id"].rpartition("-")[2] for headers, _ in receiver.requests]
        assert ids == ["2", "2", "2", "3", "3"]
        receiver.verify(hook["secret"])
        await until(lambda: api.backend.hooks.all()[0].status == "live")
        text = (await api.get("/metrics")).body.decode()
        label = f'hook="{hook["id"]}"'
        assert f'asset_ledger_hook_attempts_total{{{label},result="failed"}} 3.0' in text
        assert f'asset_ledger_hook_attempts_total{{{label},result="arrived"}} 2.0' in text
        assert f"asset_ledger_hook_failing_seconds{{{label}}} 0.0" in text


async def test_receiver_that_hangs_holds_up_no_other_hook(api: Api) -> None:
    release = asyncio.Event()

    async def hang(_: int) -> web.Response:
        await release.wait()
        return web.Response(status=204)

    async with receiving(hang) as stuck, receiving() as quick:
        await added(api, stuck.url)
        await added(api, quick.url)
        for _ in range(20):
            await api.created()
        await until(lambda: len(quick.accepted) == 20)

        assert [each["lag"] for each in await hooks(api)][:1] == [20]
        release.set()
        await until(lambda: len({*stuck.positions}) == 20)


async def test_answer_410_disables_a_hook_at_once(api: Api) -> None:
    async with receiving(lambda _: web.Response(status=410)) as receiver:
        await added(api, receiver.url)
        await api.created()
        await until(lambda: api.backend.hooks.all()[0].status == "disabled")
        await api.created()

        (listed,) = await hooks(api)
        assert (listed["error"], listed["lag"]) == ("the answer is 410", 2)
        assert listed["disabled_at"] is not None
        assert len(receiver.requests) == 1


async def test_hook_is_disabled_after_days_of_failure(api: Api) -> None:
    async with receiving(lambda _: web.Response(status=500)) as receiver:
        await added(api, receiver.url)
        await api.created()
        await until(lambda: len(receiver.requests) > 2)
        assert (await hooks(api))[0]["status"] == "failing"
        later = datetime.now(UTC) + timedelta(days=3, hours=1)
        api.backend.hooks.clock = lambda: later

        await until(lambda: api.backend.hooks.all()[0].status == "disabled")


async def test_removed_hook_gets_nothing_more(api: Api) -> None:
    async with receiving() as receiver:
        hook = await added(api, receiver.url)
        await api.created()
        await until(lambda: receiver.accepted)
        removed = await api.call("DELETE", f"/api/hooks/{hook['id']}")
        again = await api.call("DELETE", f"/api/hooks/{hook['id']}")
        await api.created()

        assert (removed.status, removed.json["id"]) == (200, hook["id"])
        assert (again.status, again.slug) == (404, "unknown-hook")
        assert await hooks(api) == []
        assert receiver.positions == [2]


async def test_invalid_hook_is_refused_with_its_field(api: Api) -> None:
    url = "http://127.0.0.1:1/"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "url"),
        ({"url": 7}, "url"),
        ({"url": "x"}, "url"),
        ({"url": f"{url}{'a' * 2000}"}, "url"),
        ({"url": url, "topics": []}, "topics"),
        ({"url": url, "topics": ["asset.made"]}, "topics"),
        ({"url": url, "job_id": ""}, "job_id"),
        ({"url": url, "user_id": "system"}, "user_id"),
        ({"url": url, "user_id": "2", "all": True}, "user_id"),
        ({"url": url, "after": -1}, "after"),
        ({"url": url, "topic": "asset.created"}, "topic"),
    ]
    for sent, field in wrong:
        answer = await api.call("POST", "/api/hooks", json=sent)

        assert (answer.slug, answer.json["errors"][0]["field"]) == ("bad-field", field), sent


async def test_private_address_is_refused_by_default(opened_data_dir: Path) -> None:
    async with serving(Settings(data_dir=opened_data_dir)) as api:
        answers = [
            await add(api, f"https://{host}/") for host in ("127.0.0.1", "[::1]", "10.0.0.1")
        ]
        plain = await add(api, "http://example.com/")

        assert {answer.slug for answer in (*answers, plain)} == {"bad-field"}
        assert await hooks(api) == []


async def test_hooks_made_at_the_same_time_are_all_kept_up_to_the_limit(api: Api) -> None:
    answers = await asyncio.gather(*(add(api, "http://127.0.0.1:1/") for _ in range(60)))

    made = [answer for answer in answers if answer.status == 201]
    refused = {answer.slug for answer in answers if answer.status != 201}
    assert refused == {"too-many-hooks"}
    assert len(await hooks(api)) == len(made) == 50


async def test_hook_gets_the_events_of_its_owner_alone(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir, hook_addresses="any") as api:
        admin, bob = caller(api, "alice", *ALL), caller(api, "bob")
        async with receiving() as of_bob, receiving() as of_all:
            await added(admin, of_bob.url, user_id="bob")
            await added(admin, of_all.url, all=True)
            await admin.created()
            await bob.created()
            await until(lambda: len(of_all.accepted) == 2 and of_bob.accepted)
            await until(lambda: all(h.position == api.head() for h in api.backend.hooks.all()))

            assert of_bob.positions == [3]
            assert (await add(bob, of_bob.url)).slug == "missing-scope"
            assert [each["user_id"] for each in await hooks(admin)] == ["bob", None]


async def test_delivery_continues_after_a_restart_without_a_gap(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir, hook_addresses="any")
    async with receiving() as receiver:
        async with serving(settings) as api:
            await added(api, receiver.url)
            for _ in range(3):
                await api.created()
            await until(lambda: api.backend.hooks.all()[0].position == api.head())
        if api.backend.engine.database is None:
            assert (data_dir / "hooks.json").stat().st_mode & 0o777 == 0o600
        async with serving(settings) as api:
            await api.created()
            await until(lambda: len(receiver.accepted) >= 4)

        assert receiver.positions == [2, 3, 4, 5]


async def test_positions_that_were_not_written_are_written_later(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "SAVE", 0.05)
    file = data_dir / "hooks.json"
    settings = Settings(data_dir=data_dir, hook_addresses="any")
    async with receiving() as receiver, serving(settings) as api:
        if api.backend.engine.database is not None:
            pytest.skip("a database has no such file")
        hook = await added(api, receiver.url)
        file.unlink()
        file.mkdir()  # nothing can be written over it
        await api.created()
        await until(
            lambda: len(receiver.accepted) == 1 and file.with_name("hooks.json.draft").exists()
        )
        file.rmdir()

        await until(file.exists)
        (written,) = json.loads(file.read_text())
        assert (written["id"], written["position"]) == (hook["id"], api.head())


def lineage(receiver: Receiver, data_dir: Path, **settings: Any) -> Settings:
    return Settings(data_dir=data_dir, lineage_url=receiver.url, **settings)


async def ended_job(api: Any, job_id: str, status: str = "completed") -> None:
    await api.call("POST", f"/api/jobs/{job_id}/start", json={"workflow_id": "w"})
    await api.created(job_id=job_id, node_id="n")
    await api.call("POST", f"/api/jobs/{job_id}/finish", json={"status": status})


async def test_run_events_of_a_job_are_sent_when_it_ends(data_dir: Path) -> None:
    def answer(number: int) -> web.Response:
        return web.Response(status=503 if number in (0, 2) else 201)

    async with (
        receiving(answer) as receiver,
        serving(lineage(receiver, data_dir, lineage_token="t0ken")) as api,
    ):
        await ended_job(api, "j")
        await until(lambda: len(receiver.accepted) == 4)
        events = (await api.get("/api/jobs/j/openlineage")).json
        await ended_job(api, "k", "failed")
        await until(lambda: len(receiver.accepted) == 8)
        (shown,) = await hooks(api)

    assert receiver.accepted[:4] == events
    kinds = [each["eventType"] for each in receiver.accepted]
    assert kinds == ["START", "START", "COMPLETE", "COMPLETE", "START", "START", "COMPLETE", "FAIL"]
    assert {headers["Authorization"] for headers, _ in receiver.requests} == {"Bearer t0ken"}
    assert (shown["id"], shown["url"]) == ("lineage", receiver.url)


async def test_refused_run_event_does_not_hold_up_the_next_job(data_dir: Path) -> None:
    async with (
        receiving(lambda n: web.Response(status=422 if n < 4 else 201)) as receiver,
        serving(lineage(receiver, data_dir)) as api,
    ):
        await ended_job(api, "j")
        await ended_job(api, "k")
        await until(lambda: len(receiver.accepted) == 4)

    jobs = [each["run"]["facets"]["assetLedger_job"]["jobId"] for each in receiver.accepted]
    assert jobs == ["k"] * 4


async def test_two_ledgers_that_send_to_each_other_come_to_rest(
    data_dir: Path, tmp_path: Path
) -> None:
    async with serving(Settings(data_dir=tmp_path / "there")) as there:
        url = f"{there.url}/api/v1/lineage"
        async with serving(Settings(data_dir=data_dir, lineage_url=url)) as here:
            lineage_url = f"{here.url}/api/v1/lineage"
            await there.backend.hooks.keep("lineage", lineage_url, there.head())
            await ended_job(here, "j")
            head = here.head()
            ended = lambda: here.backend.hooks.all()[0].position == head  # noqa: E731
            await until(ended)
            await until(lambda: there.backend.hooks.all()[0].position == there.head())

            assert (await there.get("/api/jobs/j")).json["status"] == "completed"
            assert here.head() == head


async def test_lineage_row_leaves_with_its_setting(data_dir: Path) -> None:
    async with receiving() as receiver:
        async with serving(lineage(receiver, data_dir)) as api:
            await ended_job(api, "j")
            await until(lambda: receiver.accepted)
            assert (await api.call("DELETE", "/api/hooks/lineage")).slug == "unknown-hook"
        async with serving(Settings(data_dir=data_dir)) as api:
            await until(lambda: not api.backend.hooks.all())
            with closing(Hooks(api.backend.engine.stores().hooks())) as stored:
                assert stored.all() == []


async def test_lineage_that_did_not_arrive_is_sent_after_a_restart(data_dir: Path) -> None:
    async with receiving(lambda _: web.Response(status=503)) as down, receiving() as up:
        async with serving(lineage(down, data_dir)) as api:
            await ended_job(api, "j")
            await until(lambda: len(down.requests) > 1)
        async with serving(lineage(up, data_dir)):
            await until(lambda: len(up.accepted) == 4)


async def test_event_that_cannot_be_read_is_tried_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [ValueError("out of memory"), ValueError("out of memory")]

    def failing(hook_id: str) -> Any:
        messages = webhook_messages(hook_id)

        async def once_it_works(recorded: Any) -> Any:
            if failures:
                raise failures.pop()
            return await messages(recorded)

        return once_it_works

    monkeypatch.setattr(deliveries, "webhook_messages", failing)
    async with receiving() as receiver:
        await added(api, receiver.url)
        await api.created()
        await until(lambda: receiver.accepted)

    assert receiver.positions == [2]
    assert api.backend.hooks.all()[0].failed == 2
