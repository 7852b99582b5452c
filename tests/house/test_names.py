"""One name means one type, and tests go through public doors."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest

from tests.house.source import FLOORS, Module, modules, planted

STANDALONE = "api/export/verify.py"
"""A program of its own, which audit bundles carry: it imports nothing of ours."""

PUBLIC_DOORS = ("api/sdk/",)
"""The SDK and its sync door share their names with each other, and with what they stand for."""

NOT_OURS = ("_exit", "_getframe", "_replace", "_asdict", "_fields", "_make", "_repr_html_")


def class_names(all_modules: Iterable[Module]) -> dict[str, list[str]]:
    """Where each class name is defined."""
    found: dict[str, list[str]] = defaultdict(list)
    for module in all_modules:
        path = str(module.path)
        if path != STANDALONE and not path.startswith(PUBLIC_DOORS):
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(path)
    return found


def shared(all_modules: Iterable[Module]) -> dict[str, list[str]]:
    """The class names that mean more than one type."""
    return {name: paths for name, paths in class_names(all_modules).items() if len(paths) > 1}


def private_accesses(module: Module) -> Iterator[str]:
    """Private attributes that a module touches on anything but itself."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls" | "super")):
                pass
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                pass
            case ast.Attribute(attr="__class__"):
                yield f"{module.path}:{node.lineno} __class__"
            case ast.Attribute(attr=name) if _is_private(name):
                yield f"{module.path}:{node.lineno} {name}"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in NOT_OURS


def test_a_class_name_means_one_type() -> None:
    assert shared(modules(*FLOORS)) == {}


def test_a_class_name_with_two_types_is_found() -> None:
    twice = [planted(f"ledger/{n}.py", "class Wanted:\n    pass") for n in "ab"]

    assert shared(twice) == {"Wanted": ["ledger/a.py", "ledger/b.py"]}


def test_tests_touch_no_private_attribute() -> None:
    found = [each for module in modules("tests") for each in private_accesses(module)]

    assert found == []


@pytest.mark.parametrize(
    "line", ["log._head = 7", "house.contents.__class__ = Failing", "patch(api.backend.x, y._z)"]
)
def test_a_private_attribute_is_found(line: str) -> None:
    assert len(list(private_accesses(planted("tests/test_x.py", line)))) == 1


@pytest.mark.parametrize(
    "line", ["self._head = 7", "row._replace(a=1)", "os._exit(1)", "a.__doc__"]
)
def test_other_attributes_are_allowed(line: str) -> None:
    assert list(private_accesses(planted("tests/test_x.py", line))) == []
