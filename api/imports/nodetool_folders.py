"""NodeTool's folders in an order in which each comes after the one that it lies in. Pure.

NodeTool lets a folder be moved into itself: such a circle is cut where it closes, and the folder
that closes it goes home.
"""

from collections.abc import Iterator
from typing import Final

from asset_ledger.api.imports.nodetool_rows import Item, asset_id_of
from asset_ledger.ledger.ids import AssetId

HOME: Final = ""
"""Where an asset lies that is in no folder."""


class NodeToolFolders:
    """All folders of a table, by id."""

    def __init__(self) -> None:
        self._items: dict[AssetId, Item] = {}

    def add(self, folder: Item) -> bool:
        """One more folder; False for one whose id another has."""
        return self._items.setdefault(folder.asset_id, folder) is folder

    def settle(self, item: Item) -> None:
        """Say in an item's fields where it lies. Where it cannot, it goes home, with a note."""
        folder_id = self._parent(item)
        if folder_id is not None:
            item.fields["parent_id"] = folder_id

    def ordered(self) -> Iterator[Item]:
        """Every folder, settled, after the one that it lies in; else the oldest first."""
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
                    folder.notes.append("it lies inside of itself: it goes home")
                    break
                folder = self._items[above]
            for each in reversed(path.values()):
                self.settle(each)
                settled.add(each.asset_id)
                yield each

    def _parent(self, item: Item) -> AssetId | None:
        """The folder that an item names; None is home."""
        if item.parent in (HOME, item.user_id):
            return None
        folder = self._items.get(_id(item.parent))
        if folder is not None and folder.user_id == item.user_id:
            return folder.asset_id
        item.notes.append(f"its folder {str(item.parent)[:80]!a} is not there: it goes home")
        item.parent = HOME
        return None


def _id(text: str) -> AssetId:
    try:
        return asset_id_of(text)
    except ValueError:
        return AssetId("")
