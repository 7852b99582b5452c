"""The catalog, filled from events."""

from asset_ledger.ledger.ids import Digest
from asset_ledger.projections.queries.assets import AssetQueries
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import DIGEST, asset_id, created, deleted, replaced, restored
from tests.projections.world import World


async def test_owner_of_finds_live_assets_with_the_current_content(
    here: World, runner: Runner, assets: AssetQueries
) -> None:
    owner_of, alike = assets.catalog.owner_of, Digest(DIGEST[:-1] + "b")
    here.write(runner, created(originator_id=asset_id(1)))

    assert await owner_of("1", DIGEST) == asset_id(1)
    assert await owner_of("2", DIGEST) is None
    assert await owner_of("1", alike) is None
    here.write(runner, deleted(originator_id=asset_id(1)))
    assert await owner_of("1", DIGEST) is None
    here.write(runner, restored(originator_id=asset_id(1)))
    assert await owner_of("1", DIGEST) == asset_id(1)
    here.write(runner, replaced(originator_id=asset_id(1), originator_version=4))
    assert await owner_of("1", DIGEST) is None
