"""NodeTool's folders, ordered so that each comes after its parent. Pure.

NodeTool lets a user move a folder into itself. The folder that closes a cycle moves to the top."""

from collections.abc import Iterator
from typing import Final

from asset_ledger.api.imports.nodetool_rows import Item, asset_id_of
from asset_ledger.ledger.ids import AssetId

HOME: Final = ""
"""The parent of an asset at the top level."""


class NodeToolFolders:
    """All folders of a table, by id."""

    def __init__(self) -> None:
        self._items: dict[AssetId, Item] = {}

    def add(self, folder: Item) -> bool:
        """Add a folder. Return False if the id is taken."""
        return self._items.setdefault(folder.asset_id, folder) is folder

    def settle(self, item: Item) -> None:
        """Set an item's parent. Without a usable one it moves to the top level, with a note."""
        folder_id = self._parent(item)
        if folder_id is not None:
            item.fields["parent_id"] = folder_id

    def ordered(self) -> Iterator[Item]:
        """Yield every folder, settled, after its parent; otherwise the oldest first."""
        settled: set[AssetId] = set()
        for folder in self._items.values():
            path: dict[AssetId, Item] = {}
            while folder.asset_id not in settled:
                path[folder.asset_id] = folder
                above = self._parent(folder)
                if above is None:
                    break
                if above in path:
                    folder.parent = HOME
                    folder.notes.append("its folder lies inside of it: it moves to the top")
                    break
                folder = self._items[above]
            for each in reversed(path.values()):
                self.settle(each)
                settled.add(each.asset_id)
                yield each

    def _parent(self, item: Item) -> AssetId | None:
        """Return the folder that an item names; None is the top level."""
        if item.parent in (HOME, item.user_id):
            return None
        folder = self._items.get(_id(item.parent))
        if folder is not None and folder.user_id == item.user_id:
            return folder.asset_id
        item.notes.append(f"its folder {str(item.parent)[:80]!a} is missing: it moves to the top")
        item.parent = HOME
        return None


def _id(text: str) -> AssetId:
    try:
        return asset_id_of(text)
    except ValueError:
        return AssetId("")
