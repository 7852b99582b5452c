"""The tree in docs/architecture.md has every package, and no other path."""

import re

from tests.house.console import document
from tests.house.source import FLOORS, ROOT


def _tree() -> list[str]:
    """Return the paths of the tree: a folder at the margin, and below it the names inside it."""
    drawn = document("docs/architecture.md").partition("## The tree")[2].split("```")[1]
    paths, folder = [], ""
    for line in drawn.strip().splitlines():
        name = re.split(r" {2,}", line.strip())[0]
        if line.startswith(" "):
            paths.append(folder + name)
        else:
            folder = name
            paths.append(name)
    return paths


def test_tree_shows_existing_paths_only() -> None:
    assert [path for path in _tree() if not (ROOT / path).exists()] == []


def test_tree_shows_every_package_of_every_floor() -> None:
    packages = {
        f"{floor}/{path.name}/"
        for floor in FLOORS
        for path in (ROOT / floor).iterdir()
        if (path / "__init__.py").exists()
    }

    assert packages - set(_tree()) == set()
