import orjson
import pytest

from ledger.errors import ViewBehindError
from projections.views import Views
from tests.builders import ID, created
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
