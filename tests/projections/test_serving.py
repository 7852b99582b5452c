import asyncio
from functools import partial

import orjson
import pytest

from asset_ledger.ledger.errors import ViewBehindError
from asset_ledger.projections.queries.usage import UsageQuery
from asset_ledger.projections.rebuild.build import build, next_number
from asset_ledger.projections.runtime.generation import Generation, open_generation
from asset_ledger.projections.serving import Views
from tests.builders import ID, asset_id, created
from tests.projections.world import World


async def test_views_answer_what_was_recorded_before_they_were_opened(here: World) -> None:
    here.append(created(job_id="j"))

    views = await Views.open(here.folder, here.feed)

    page = await views.assets.page("1", {"job_id": ["j"]})
    assert orjson.loads(page.json)["id"] == ID
    assert orjson.loads((await views.jobs.find("1", "j")).json)["assets"] == 1
    assert views.position == 2
    await views.close()


async def test_views_that_fell_behind_catch_up_by_themselves(here: World) -> None:
    views = await Views.open(here.folder, here.feed)
    here.append(created())

    await views.runner.wait_for(2, 30)

    assert (await views.assets.find("1", ID)).position == 2
    await views.close()


async def test_views_wait_no_longer_than_they_are_told(here: World) -> None:
    views = await Views.open(here.folder, here.feed)

    with pytest.raises(ViewBehindError):
        await views.runner.wait_for(9, 0)
    await views.close()


async def test_a_view_that_rests_is_woken_by_who_waits_for_it(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rests for an hour, because the log grew while it took its turn."""
    monkeypatch.setattr("asset_ledger.projections.serving.RETRY_SECONDS", 3600.0)
    monkeypatch.setattr("asset_ledger.projections.serving.YIELD", 1e9)
    views = await Views.open(here.folder, here.feed)
    usage = views.runners["usage"]
    turn, later = usage.turn, [created(originator_id=asset_id(2))]
    loop = asyncio.get_running_loop()

    def turn_while_the_log_grows(*limit: int) -> bool:
        more = turn(*limit)
        if later:
            loop.call_soon_threadsafe(here.feed.grew, here.append(later.pop())[0].last)
        return more

    monkeypatch.setattr(usage, "turn", turn_while_the_log_grows)
    here.feed.grew(here.append(created())[0].last)
    await usage.wait_for(2, 60)

    await usage.wait_for(3, 60)

    assert (await views.usage.page(UsageQuery("1", "day", {}, "key"), page_size=10)).position == 3
    await views.close()


async def test_a_view_that_found_nothing_to_take_hears_of_the_next_fact(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one that stalls waits before its next turn: here, for an hour."""
    monkeypatch.setattr("asset_ledger.projections.serving.RETRY_SECONDS", 3600.0)
    views = await Views.open(here.folder, here.feed)
    usage, loop, turned = views.runners["usage"], asyncio.get_running_loop(), asyncio.Event()
    turn = usage.turn

    def turn_and_tell(*limit: int) -> bool:
        more = turn(*limit)
        loop.call_soon_threadsafe(turned.set)
        return more

    monkeypatch.setattr(usage, "turn", turn_and_tell)
    here.feed.grew(2)
    await turned.wait()

    here.feed.grew(here.append(created())[0].last)
    await usage.wait_for(2, 60)

    await views.close()


async def test_a_generation_takes_over_in_one_step(here: World) -> None:
    here.append(*[created(originator_id=asset_id(n)) for n in range(10)])
    views = await Views.open(here.folder, here.feed)
    first = await views.assets.page("1", {}, page_size=4)
    following = await built(here)
    here.append(created(originator_id=asset_id(10)))
    waiting = asyncio.create_task(views.reach(13))
    searching = asyncio.create_task(views.reach(13, ("search",)))
    await asyncio.sleep(0)

    before = await views.switch(following, partial(following.tables.database.declare, "ready"))

    assert (views.generation, views.position) == (following, 12)
    rest = await views.assets.page("1", {}, page_size=100, cursor=first.next)
    assert (first.count, rest.count) == (4, 7)
    last = here.append(created(originator_id=asset_id(11)))[0]
    assert views.live.apply((), last.last, b"")
    here.feed.grew(last.last)
    await waiting
    await searching
    assert (await views.assets.find("1", asset_id(11))).position == 13
    before.close()
    await views.close()


async def test_a_takeover_that_cannot_be_made_to_last_changes_nothing(here: World) -> None:
    here.append(created())
    views = await Views.open(here.folder, here.feed)
    following, before = await built(here), views.generation

    def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await views.switch(following, fail)

    here.append(created(originator_id=asset_id(2)))
    await views.runner.wait_for(3, 30)
    await views.reach(3, ("usage",))
    assert views.generation is before
    assert (await views.assets.find("1", asset_id(2))).position == 3
    following.close()
    await views.close()


async def test_reads_and_writes_go_on_while_generations_take_over(here: World) -> None:
    """Every page is one of a whole table, and no position goes back."""
    views = await Views.open(here.folder, here.feed)
    positions = {"tables": 0, "usage": 0}
    done = False

    async def read() -> None:
        while not done:
            seen = dict(positions)  # before it asks: the other reader's answer may overtake
            page = await views.assets.page("1", {}, page_size=1_000)
            usage = await views.usage.page(UsageQuery("1", "day", {}, "key"), page_size=10)
            assert page.count == page.position - 1
            assert page.position >= seen["tables"]
            assert usage.position >= seen["usage"]
            positions["tables"] = max(positions["tables"], page.position)
            positions["usage"] = max(positions["usage"], usage.position)

    def record(number: int) -> int:
        wanted = created(originator_id=asset_id(number))
        recorded = here.append(wanted, prepare=views.live.prepare)[0]
        assert views.live.apply([recorded.prepared], recorded.last, recorded.leaf)
        return recorded.last

    async def write() -> None:
        number = 0
        while not done and number < 900:  # all of them are on one page
            number += 1
            last = await asyncio.to_thread(record, number)
            here.feed.grew(last)
            found = await views.assets.find("1", asset_id(number))
            assert found.position >= last

    at_work = [asyncio.create_task(each()) for each in (read, read, write)]
    for _ in range(3):
        following = await built(here)
        before = await views.switch(following, partial(following.tables.database.declare, "ready"))
        before.close()
    done = True
    await asyncio.gather(*at_work)

    assert views.generation.number == 4
    await views.close()


async def built(here: World) -> Generation:
    """The next generation, built from the log and opened."""
    number = next_number(here.folder)
    await asyncio.to_thread(build, here.folder, number, here.feed)
    return await asyncio.to_thread(open_generation, here.folder, number, here.feed)
