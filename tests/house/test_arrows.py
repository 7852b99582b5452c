"""Imports point one way: api -> projections -> ledger, and inside api towards the contract."""

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import PRODUCT, Module, modules, planted, within

HOUSE = (*PRODUCT, "tests", "examples", "benchmarks")

WORDS = (
    *("asset", "job", "fact", "origin", "codec", "feed", "ids", "errors", "record", "sqlite"),
    *("finding", "readers"),
)

FLOOR_MAY_IMPORT = {
    "ledger": ("ledger",),
    "projections": ("projections", *(f"ledger.{word}" for word in WORDS)),
    "api": ("api", "projections", "ledger"),
    "asset_ledger": ("api.sdk",),
}

ROOM_MAY_NOT_IMPORT = {
    "api.contract": ("api.http", "api.sdk", "api.cli", "api.export", "api.imports", "api.backend"),
    "api.backend": ("api.http", "api.sdk", "api.cli", "api.export", "api.imports"),
    "api.http": ("api.sdk", "api.cli", "api.imports"),
    "api.sdk": ("api.http", "api.cli", "api.export", "api.imports", "api.backend"),
    "api.export": ("api.http", "api.sdk", "api.cli", "api.imports", "api.backend"),
    "api.imports": ("api.http", "api.cli", "api.backend"),
}

EXCEPT = {("api.sdk.embedded", "api.backend")}

WEB = ("aiohttp", "http", "multipart")


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything the module imports, in functions too."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(names=names):
                origin = _origin(module, node)
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def _origin(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.package.split(".")
    above = parts[: len(parts) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def wrong_arrows(module: Module) -> list[str]:
    return [
        f"{module.path}:{line} imports {name}"
        for line, name in imports(module)
        if _leaves_its_floor(module, name) or _enters_a_closed_room(module, name)
    ]


def _leaves_its_floor(module: Module, name: str) -> bool:
    floor = module.path.parts[0]
    if not within(name, *HOUSE):
        return floor in ("ledger", "projections") and within(name, *WEB)
    return not within(name, *FLOOR_MAY_IMPORT[floor])


def _enters_a_closed_room(module: Module, name: str) -> bool:
    return any(
        within(module.name, room)
        and within(name, closed)
        and not any(within(module.name, who) and within(name, what) for who, what in EXCEPT)
        for room, rooms in ROOM_MAY_NOT_IMPORT.items()
        for closed in rooms
    )


def test_every_arrow_of_the_house_points_down() -> None:
    assert [wrong for module in modules(*PRODUCT) for wrong in wrong_arrows(module)] == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("ledger/service.py", "from projections.assets import Assets"),
        ("ledger/service.py", "import api.settings"),
        ("ledger/log/sqlite.py", "def f() -> None:\n    from api import settings"),
        ("ledger/log/sqlite.py", "from ...projections import runner"),
        ("ledger/errors.py", "from http import HTTPStatus"),
        ("ledger/asset.py", "from tests.builders import created"),
        ("projections/runner.py", "from ledger.writer import Writer"),
        ("projections/runner.py", "from ledger import writer"),
        ("projections/runner.py", "import ledger"),
        ("projections/runner.py", "from ledger import *"),
        ("projections/runner.py", "from ledger.log.sqlite import SQLiteLog"),
        ("projections/migrate.py", "importlib.import_module('api.backend')"),
        ("projections/assets.py", "from aiohttp import web"),
        ("api/contract/problems.py", "from api.http.app import app"),
        ("api/contract/problems.py", "from api import backend"),
        ("api/contract/problems.py", "from ..http import app"),
        ("api/contract/problems.py", "from .. import export"),
        ("api/http/app.py", "from api.cli import main"),
        ("api/sdk/remote.py", "from api.backend import open_backend"),
        ("api/sdk/embedded.py", "from api.http.app import app"),
        ("api/backend.py", "from api.http.app import app"),
        ("api/export/prov.py", "from benchmarks import floor"),
        ("api/imports/nodetool.py", "from api.backend import open_backend"),
        ("asset_ledger/__init__.py", "from api.backend import open_backend"),
    ],
)
def test_an_arrow_that_points_up_is_found(path: str, line: str) -> None:
    assert len(wrong_arrows(planted(path, line))) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("ledger/log/sqlite.py", "from ledger.log import EventLog"),
        ("ledger/log/sqlite.py", "from . import EventLog"),
        ("ledger/log/__init__.py", "from .sqlite import SQLiteLog"),
        ("projections/assets.py", "from ledger.asset import Asset"),
        ("projections/assets.py", "from ledger import ids"),
        ("projections/assets.py", "from projections.pages import Page"),
        ("api/http/assets.py", "from api.contract.assets import AssetOut"),
        ("api/http/assets.py", "from api.backend import Backend"),
        ("api/cli/serve.py", "from api.http.app import app"),
        ("api/sdk/embedded.py", "from api.backend import open_backend"),
        ("api/backend.py", "from ledger.writer import Writer"),
        ("asset_ledger/__init__.py", "from api.sdk import Asset"),
    ],
)
def test_an_arrow_that_points_down_is_let_through(path: str, line: str) -> None:
    assert wrong_arrows(planted(path, line)) == []
