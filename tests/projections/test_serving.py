import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from asset_ledger.ledger.errors import DataFolderError, ProjectionBehindError
from asset_ledger.projections.queries.usage import UsageQuery
from asset_ledger.projections.rebuild.build import build
from asset_ledger.projections.runtime.generation import open_followers
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.store import next_number
from tests.builders import ID, asset_id, created
from tests.projections.world import Served, World, served

BY_DAY = UsageQuery("1", ("day",), {}, "key")


@pytest.fixture
async def server(here: World) -> AsyncIterator[Served]:
    async with served(here) as server:
        yield server


def usage_of(server: Served) -> Runner:
    usage = server.projections.runners["usage"]
    assert isinstance(usage, Runner)
    return usage


async def test_queries_return_events_recorded_before_opening(here: World) -> None:
    here.append(created(job_id="j"))

    async with served(here) as server:
        page = await server.projections.assets.page("1", {"job_id": ["j"]})
        assert orjson.loads(page.json)["id"] == ID
        assert orjson.loads((await server.projections.jobs.find("1", "j")).json)["assets"] == 1
        assert server.projections.position == 2


async def test_lagging_tables_catch_up_with_the_next_turn(server: Served) -> None:
    server.here.append(created())

    await asyncio.to_thread(server.tables.turn)
    server.report()

    await server.projections.reach(2)
    assert (await server.projections.assets.find("1", ID)).position == 2


async def test_waiting_ends_with_the_given_timeout(server: Served) -> None:
    with pytest.raises(ProjectionBehindError):
        await server.projections.tables.wait_for(9, 0)


async def test_resting_projection_is_woken_by_a_waiting_caller(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The projection rests for an hour, since the log grew during its turn."""
    monkeypatch.setattr("asset_ledger.projections.serving.RETRY_SECONDS", 3600.0)
    monkeypatch.setattr("asset_ledger.projections.serving.YIELD", 1e9)
    async with served(here) as server:
        usage = usage_of(server)
        turn, pending = usage.turn, [created(originator_id=asset_id(2))]
        loop = asyncio.get_running_loop()

        def turn_while_the_log_grows(*limit: int) -> bool:
            more = turn(*limit)
            if pending:
                server.record(pending.pop())
                loop.call_soon_threadsafe(server.report)
            return more

        monkeypatch.setattr(usage, "turn", turn_while_the_log_grows)
        server.write(created())
        await usage.wait_for(2, 60)

        await usage.wait_for(3, 60)

        assert (await server.projections.usage.page(BY_DAY, page_size=10)).position == 3


async def test_idle_projection_is_woken_by_the_next_event(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a stalled projection waits before its next turn: here, for an hour."""
    monkeypatch.setattr("asset_ledger.projections.serving.RETRY_SECONDS", 3600.0)
    async with served(here) as server:
        usage, turned = usage_of(server), asyncio.Event()
        turn, loop = usage.turn, asyncio.get_running_loop()

        def turn_and_report(*limit: int) -> bool:
            more = turn(*limit)
            loop.call_soon_threadsafe(turned.set)
            return more

        monkeypatch.setattr(usage, "turn", turn_and_report)
        server.feed.advance(2)
        await turned.wait()

        server.write(created())
        await usage.wait_for(2, 60)


async def test_switch_keeps_cursors_and_waiting_callers(here: World) -> None:
    here.append(*[created(originator_id=asset_id(n)) for n in range(10)])
    async with served(here) as server:
        projections = server.projections
        first = await projections.assets.page("1", {}, page_size=4)
        number = await built(here)
        server.write(created(originator_id=asset_id(10)))
        waiting = asyncio.create_task(projections.reach(13))
        searching = asyncio.create_task(projections.reach(13, ("search",)))
        await asyncio.sleep(0)

        await server.switch(number)

        assert (projections.generation.number, projections.position) == (number, 12)
        rest = await projections.assets.page("1", {}, page_size=100, cursor=first.next)
        assert (first.count, rest.count) == (4, 7)
        server.write(created(originator_id=asset_id(11)))
        await waiting
        await searching
        assert (await projections.assets.find("1", asset_id(11))).position == 13


async def test_failed_switch_keeps_the_generation_in_use(here: World) -> None:
    here.append(created())
    async with served(here) as server:
        number, before = await built(here), server.projections.generation
        following = await asyncio.to_thread(open_followers, here.tables, number, server.feed)

        async def fail() -> None:
            raise OSError("no")

        with pytest.raises(OSError, match="no"):
            await server.projections.switch(following, fail)

        server.write(created(originator_id=asset_id(2)))
        await server.projections.reach(3, ("usage",))
        assert server.projections.generation is before
        assert (await server.projections.assets.find("1", asset_id(2))).position == 3


async def test_adopt_serves_the_generation_of_a_restarted_committer(here: World) -> None:
    """A restarted committer found its tables damaged and rebuilt them."""
    async with served(here) as server:
        server.write(created())
        await server.projections.reach(2, ("usage",))
        number = await built(here)
        server.tables.begin_switch(1, number, retire=False)
        assert server.tables.turn() == number

        await server.projections.adopt(server.tables.state)

        assert server.projections.generation.number == number
        server.write(created(originator_id=asset_id(2)))
        await server.projections.reach(3, ("tables", "usage", "search", "catalog"))
        assert (await server.projections.assets.page("1", {})).count == 2


async def test_switch_to_a_missing_generation_is_refused(
    server: Served,
) -> None:
    with pytest.raises(DataFolderError, match=r"there is no projections\.g7"):
        server.tables.begin_switch(1, 7, retire=False)

    server.write(created())
    await server.projections.reach(2)


async def test_reads_and_writes_stay_consistent_during_switches(here: World) -> None:
    """Every page is of a complete table, and no position goes back."""
    async with served(here) as server:
        projections = server.projections
        positions = {"tables": 0, "usage": 0}
        done = False

        async def read() -> None:
            while not done:
                seen = dict(positions)  # before the query: the other reader may overtake it
                page = await projections.assets.page("1", {}, page_size=1_000)
                usage = await projections.usage.page(BY_DAY, page_size=10)
                assert page.count == page.position - 1
                assert page.position >= seen["tables"]
                assert usage.position >= seen["usage"]
                positions["tables"] = max(positions["tables"], page.position)
                positions["usage"] = max(positions["usage"], usage.position)

        async def write(number: int) -> None:
            last = await asyncio.to_thread(server.record, created(originator_id=asset_id(number)))
            server.report()
            found = await projections.assets.find("1", asset_id(number))
            assert found.position >= last

        readers = [asyncio.create_task(read()) for _ in range(2)]
        number = 0
        for _ in range(3):
            building = asyncio.create_task(built(here))
            while not building.done() and number < 900:  # so that all fit on one page
                number += 1
                await write(number)
            await server.switch(await building)
        done = True
        await asyncio.gather(*readers)

        assert projections.generation.number == 4


async def built(here: World) -> int:
    """Build the next generation from the log; return its number."""
    number = next_number(here.tables)
    await asyncio.to_thread(build, here.tables, number, here.feed)
    return number
