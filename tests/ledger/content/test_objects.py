"""Large contents in an object store: a folder, which needs no server."""

from pathlib import Path

import pytest

from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.content.objects import ObjectContents
from asset_ledger.ledger.storage.object_store import ObjectStore
from asset_ledger.ledger.storage.readers import AsyncSqliteReaders
from tests.contracts.content_store import ContentStoreContract, PackingStore, StoreFactory


async def open_store(folder: Path, url: str) -> PackingStore:
    """Open the contents of a ledger in this folder, with large ones in a store."""
    local = await open_local_contents(folder)
    rows = AsyncSqliteReaders(folder.parent / "ledger.db", of_tables=False)
    return PackingStore(ObjectContents(ObjectStore(url), "a" * 32, rows, local), folder)


class TestObjectsInAFolder(ContentStoreContract):
    @pytest.fixture
    def store_factory(self, tmp_path: Path) -> StoreFactory:
        return lambda: open_store(tmp_path / "content", (tmp_path / "shared").as_uri())
