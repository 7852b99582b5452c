"""Every room has a door, a floor's door leads to nothing by itself, and no room is too large."""

import ast
from pathlib import Path

import pytest

from tests.house.source import FLOORS, NAMESPACE, PRODUCT, ROOT, Module, modules, planted

MOST_LINES = 400


def doorless(folder: Path) -> set[str]:
    """Folders that hold Python but no `__init__.py`: they would not be shipped, or be shadowed."""
    homes = {path.parent for path in folder.rglob("*.py")}
    return {home.name for home in homes if not (home / "__init__.py").exists()}


def is_one_docstring(module: Module) -> bool:
    match module.tree.body:
        case [ast.Expr(value=ast.Constant(value=str()))]:
            return True
    return False


def too_large(module: Module) -> bool:
    return len(module.text.splitlines()) > MOST_LINES


@pytest.mark.parametrize("folder", [*PRODUCT, "tests"])
def test_every_package_has_its_init(folder: str) -> None:
    assert doorless(ROOT / folder) == set()


def test_a_folder_without_init_is_found(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "module.py").touch()
    (tmp_path / "assets").mkdir()

    assert doorless(tmp_path) == {"room"}


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_opens_with_a_docstring_and_loads_nothing(floor: str) -> None:
    door = planted(f"{floor}/__init__.py", (ROOT / floor / "__init__.py").read_text("utf-8"))

    assert is_one_docstring(door)


@pytest.mark.parametrize(
    "text", ["", "import os", '"""Doc."""\n\nfrom asset_ledger.ledger import ids']
)
def test_a_floor_that_loads_something_is_found(text: str) -> None:
    assert not is_one_docstring(planted("ledger/__init__.py", text))


@pytest.mark.parametrize("floor", FLOORS)
def test_the_namespace_links_to_each_floor(floor: str) -> None:
    assert (ROOT / NAMESPACE / floor).readlink() == Path("..") / floor


def test_the_namespace_says_that_it_is_typed() -> None:
    assert (ROOT / NAMESPACE / "py.typed").is_file()


def test_no_module_of_the_product_is_too_large_to_hold_in_the_head() -> None:
    every = modules(*PRODUCT, "integrations")

    assert [str(module.path) for module in every if too_large(module)] == []


def test_a_module_one_line_too_large_is_found() -> None:
    assert not too_large(planted("ledger/commit/committer.py", "pass\n" * MOST_LINES))
    assert too_large(planted("ledger/commit/committer.py", "pass\n" * (MOST_LINES + 1)))
