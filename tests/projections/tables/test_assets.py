import tempfile
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.asset import FOLDER, evolve
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.errors import AssetDeletedError, UnknownAssetError
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.tables.assets import document, document_json
from tests.builders import (
    DIGEST,
    ID,
    asset_id,
    at,
    created,
    deleted,
    described,
    folded,
    replaced,
    restored,
)
from tests.projections.histories import histories
from tests.projections.world import World, digest_of, documents, select, world
from tests.properties import examples


def test_document_has_every_field_of_the_contract() -> None:
    private = {"name": "cat.png", "metadata": {"a": 1}, "tags": ["t"], "duration": 2}
    asset = folded(
        created(
            workflow_id="w",
            node_id="n",
            job_id="j",
            attempt=2,
            parent_id=asset_id(2),
            derived_from=(asset_id(3),),
            made_at=at(-5),
            private=private,
        ),
        described(private={"name": "dog.png"}),
    )

    assert document(asset) == {
        "id": ID,
        "user_id": "1",
        "workflow_id": "w",
        "parent_id": asset_id(2),
        "name": "dog.png",
        "content_type": "image/png",
        "size": 4,
        "metadata": {"a": 1},
        "created_at": "2025-12-31T23:59:55.000000Z",
        "get_url": f"/api/assets/{ID}/content",
        "thumb_url": f"/api/assets/{ID}/thumbnail?version=2",
        "duration": 2.0,
        "node_id": "n",
        "job_id": "j",
        "etag": "v2",
        "digest": DIGEST,
        "version": 2,
        "position": 2,
        "updated_at": "2026-01-01T00:00:02.000000Z",
        "tags": ["t"],
        "derived_from": [asset_id(3)],
        "attempt": 2,
    }


def test_asset_in_the_home_folder_has_the_user_id_as_parent() -> None:
    assert document(folded(created(user_id="7")))["parent_id"] == "7"


def test_asset_without_content_has_no_urls() -> None:
    for content_type in (FOLDER, "image/png"):
        asset = folded(created(content_type=content_type, digest=None, size=0))

        assert document(asset)["get_url"] is None
        assert document(asset)["thumb_url"] is None


def test_json_does_not_depend_on_the_order_of_metadata() -> None:
    one, other = {"b": 1, "a": {"d": 1, "c": 2}}, {"a": {"c": 2, "d": 1}, "b": 1}
    texts = {
        document_json(folded(created(private={"name": "x", "metadata": metadata})))
        for metadata in (one, other)
    }

    assert len(texts) == 1
    assert orjson.loads(texts.pop())["metadata"] == one


@pytest.mark.parametrize(
    "later",
    [
        [described(private={"name": "dog.png", "metadata": None, "tags": None})],
        [described(parent_id=asset_id(9), content_type="text/plain")],
        [replaced(content_type="text/plain")],
        [deleted(by="2")],
        [deleted(), restored()],
    ],
)
def test_later_event_updates_the_row_and_its_json(
    here: World, runner: Runner, later: list[Event]
) -> None:
    private = {"name": "cat.png", "metadata": {"a": 1}, "tags": ["t"], "duration": 1.5}
    here.write(runner, created(private=private))
    here.write(runner, *later)

    assert documents(runner) == {ID: _document_of(here, ID)}


def _document_of(here: World, asset_id: str) -> object:
    asset = None
    for event in here.stream(asset_id):
        asset = evolve(asset, event)
    assert asset is not None
    return document(asset)


@examples(60)
@given(histories(), st.integers(1, 8))
def test_rows_equal_the_folded_events_live_and_rebuilt(events: list[Event], group: int) -> None:
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        with here.projections() as live:
            for first in range(0, len(events), group):
                assert here.write(live, *events[first : first + group]), live.error
            shown, texts, value = documents(live), _texts(live), digest_of(live)
            assert shown == {id: _document_of(here, id) for id in shown}
            assert _totals(live) == _recounted(live)
        for file in here.folder.glob("projections.*"):
            file.unlink()
        with here.projections() as rebuilt:
            assert digest_of(rebuilt) == value
            assert _texts(rebuilt) == texts


def _texts(runner: Runner) -> list[object]:
    return select(runner, "SELECT json FROM assets ORDER BY seq")


def _totals(runner: Runner) -> list[object]:
    return select(
        runner, "SELECT user_id, job_id, assets, bytes FROM jobs WHERE assets ORDER BY 1, 2"
    )


def _recounted(runner: Runner) -> list[object]:
    return select(
        runner,
        "SELECT user_id, job_id, count(*), sum(size) FROM assets"
        " WHERE deleted_at IS NULL AND job_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2",
    )


async def test_asset_is_found_with_the_position_of_the_table(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    here.write(runner, created())
    here.write(runner, created(originator_id=asset_id(2)))

    found = await assets.find("1", ID)

    assert orjson.loads(found.json)["id"] == ID
    assert (found.version, found.position) == (1, 3)


async def test_unknown_asset_and_asset_of_another_user_raise_the_same_error(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    here.write(runner, created(user_id="2"))

    with pytest.raises(UnknownAssetError):
        await assets.find("1", ID)
    with pytest.raises(UnknownAssetError):
        await assets.find("1", asset_id(5))


async def test_deleted_asset_error_has_user_time_and_position(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    here.write(runner, created(), deleted(by="9"))
    ((when,),) = select(runner, "SELECT deleted_at FROM assets")

    with pytest.raises(AssetDeletedError) as refusal:
        await assets.find("1", ID)

    assert (refusal.value.by, refusal.value.when, refusal.value.position) == ("9", when, 3)


async def test_children_are_the_live_assets_of_a_folder(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    inside = {n: created(originator_id=asset_id(n), parent_id=asset_id(9)) for n in (2, 3, 4, 5)}
    gone = deleted(originator_id=asset_id(3))
    here.write(runner, created(originator_id=asset_id(9), content_type=FOLDER, digest=None))
    here.write(runner, *inside.values(), created(), gone)

    assert await assets.children("1", asset_id(9), 2) == [asset_id(2), asset_id(4)]
    assert await assets.children("2", asset_id(9), 2) == []


async def test_orphans_are_live_assets_in_deleted_folders(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    folder = {"content_type": FOLDER, "digest": None, "size": 0}
    here.write(runner, created(originator_id=asset_id(8), **folder))
    here.write(runner, created(originator_id=asset_id(9), **folder))
    here.write(runner, created(parent_id=asset_id(8)))
    here.write(runner, created(originator_id=asset_id(2), parent_id=asset_id(9)))

    assert await assets.orphans(10) == []

    here.write(runner, deleted(originator_id=asset_id(9)))

    assert await assets.orphans(10) == [("1", asset_id(2))]


def test_nodetool_view_has_the_live_rows(here: World, runner: Runner) -> None:
    here.write(runner, created(node_id="n"), created(originator_id=asset_id(2)))
    here.write(runner, deleted(originator_id=asset_id(2)))

    rows = select(runner, "SELECT id, parent_id, node_id, size FROM nodetool_assets")

    assert rows == [(ID, "1", "n", 4)]
