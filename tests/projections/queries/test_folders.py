from asset_ledger.ledger.domain.asset import FOLDER
from asset_ledger.ledger.domain.event import Event
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from asset_ledger.projections.queries.folders import FolderQueries
from asset_ledger.projections.runtime.runner import Runner
from tests.builders import asset_id, created
from tests.projections.world import World, file_of


def folder(number: int, parent: AssetId | None) -> Event:
    label = {"content_type": FOLDER, "digest": None, "parent_id": parent}
    return created(originator_id=asset_id(number), **label)


async def test_below_walks_folders_in_a_circle_once(here: World, runner: Runner) -> None:
    here.write(runner, folder(1, asset_id(3)), folder(2, asset_id(1)), folder(3, asset_id(2)))
    here.write(runner, created(originator_id=asset_id(4), parent_id=asset_id(3)))
    readers = AsyncSqliteReaders(file_of(runner), 1)

    found = FolderQueries(readers).below("1", asset_id(1))
    below = [member.id async for _, page in found for member in page]

    assert below == [asset_id(2), asset_id(3), asset_id(4)]
    await readers.close()
