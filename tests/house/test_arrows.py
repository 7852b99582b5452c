"""Imports point one way: between the floors, and between the packages inside each floor."""

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.house.source import FLOORS, NAMESPACE, PRODUCT, ROOT, Module, modules, planted, within

HOUSE = (NAMESPACE, *FLOORS, "tests", "examples", "benchmarks")

LOW = ("errors", "ids", "progress", "tasks")
STORED = (*LOW, "clock", "domain", "storage", "merkle", "content", "log")
"""Packages that everything above the log may import."""

LEDGER = {
    "errors": (),
    "ids": (),
    "progress": (),
    "tasks": (),
    "domain": LOW,
    "clock": ("domain",),
    "storage": LOW,
    "merkle": (*LOW, "storage"),
    "content": (*LOW, "storage"),
    "log": (*LOW, "clock", "domain", "storage", "merkle", "content"),
    "reading": STORED,
    "audit": STORED,
    "scrub": STORED,
    "commit": (*STORED, "reading"),
    "commands": (*STORED, "reading", "commit", "scrub"),
    "proofs": (*STORED, "reading", "commit"),
    "service": (*STORED, "reading", "commit", "commands"),
}
PROJECTIONS = {
    "migrations": (),
    "projection": ("migrations",),
    "tables": ("migrations", "projection"),
    "queries": ("migrations", "tables"),
    "runtime": ("migrations", "projection", "tables"),
    "rebuild": ("projection", "runtime"),
    "serving": ("queries", "runtime", "tables"),
}
SETTINGS = ("contract", "settings")
API = {
    "contract": (),
    "settings": ("contract",),
    "environment": ("settings",),
    "logs": (),
    "tokens": ("contract",),
    "sessions": ("contract", "tokens"),
    "s3_keys": (),
    "key_locks": (),
    "stores": ("hooks", "s3_keys", "sessions"),
    "engine": ("database", "key_locks", "stores"),
    "database": ("hooks", "key_locks", "s3_keys", "sessions", "stores"),
    "workers": (*SETTINGS, "logs", "engine"),
    "thumbnails": ("contract", "workers"),
    "uploads": ("contract",),
    "hooks": ("contract", "export"),
    "upkeep": (*SETTINGS, "hooks"),
    "backend": (
        *(*SETTINGS, "engine", "database", "hooks", "sessions", "thumbnails", "tokens"),
        *("key_locks", "s3_keys", "uploads", "upkeep", "workers"),
    ),
    "export": ("contract",),
    "sdk": (*SETTINGS, "backend", "engine"),
    "imports": ("contract", "export", "sdk"),
    "agents": ("contract", "export", "sdk"),
    "backup": ("contract", "export", "imports"),
    "copying": ("engine", "database", "export", "imports", "backup"),
    "http": (
        *SETTINGS,
        "backend",
        "export",
        "hooks",
        "sessions",
        "thumbnails",
        "uploads",
        "workers",
    ),
    "s3": (*SETTINGS, "backend", "http", "key_locks", "tokens"),
    "serving": (*SETTINGS, "backend", "http", "s3", "workers"),
    "processes": (*SETTINGS, "serving", "workers"),
    "server_process": (*SETTINGS, "backend", "logs", "processes", "serving", "workers"),
    "cli": (
        *(*SETTINGS, "environment", "logs", "tokens", "backend"),
        *("hooks", "http", "s3", "serving", "processes", "sdk", "export"),
        *("imports", "backup", "workers"),
        *("engine", "database", "agents", "copying"),
    ),
}
ROOMS = {"ledger": LEDGER, "projections": PROJECTIONS, "api": API}
"""Each floor's packages, and the packages of the same floor that each may import."""

FLOOR_MAY_IMPORT = {
    "ledger": ("ledger",),
    "projections": (
        "projections",
        *(f"ledger.{room}" for room in ("errors", "ids", "domain", "storage", "log")),
        *("ledger.reading.feed", "ledger.audit.finding", "ledger.progress"),
        "ledger.tasks",
        "ledger.commit.requests",  # what the committer asks the tables, and nothing of how
    ),
    "api": FLOORS,
    NAMESPACE: ("api.sdk",),
}

EMBEDDED = ("asset_ledger.api.sdk.embedded", "asset_ledger.api.sdk.open_folder")
"""The one module of the SDK that opens a data folder in its own process."""

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
        if _is_bare(name) or _leaves_its_floor(module, name) or _enters_a_closed_room(module, name)
    ]


def _is_bare(name: str) -> bool:
    """Is it a floor outside the namespace? Each of its classes would be loaded twice."""
    return within(name, *FLOORS)


def _leaves_its_floor(module: Module, name: str) -> bool:
    floor = module.path.parts[0]
    if not within(name, *HOUSE):
        return floor in ("ledger", "projections") and within(name, *WEB)
    return not within(name, *(f"{NAMESPACE}.{part}" for part in FLOOR_MAY_IMPORT[floor]))


def _enters_a_closed_room(module: Module, name: str) -> bool:
    floor, room = _place(module.name)
    other_floor, other_room = _place(name)
    if floor not in ROOMS or floor != other_floor or room == other_room:
        return False
    if floor == "api" and room == "sdk" and other_room in ("backend", "settings"):
        return module.name not in EMBEDDED
    return other_room not in ROOMS[floor].get(room, ())


def _place(name: str) -> tuple[str, str]:
    """Floor and package of a dotted name: ("ledger", "log") for `asset_ledger.ledger.log.codec`."""
    return tuple([*name.split("."), "", ""][1:3])  # type: ignore[return-value]


def test_every_import_of_the_product_points_down() -> None:
    assert [wrong for module in modules(*PRODUCT) for wrong in wrong_arrows(module)] == []


def test_every_room_is_in_the_table_and_every_entry_is_a_room() -> None:
    for floor, rooms in ROOMS.items():
        there = {path.stem for path in (ROOT / floor).iterdir() if not path.stem.startswith("_")}
        assert there - {"py"} == set(rooms)


def test_code_that_other_programs_load_imports_the_standard_library_only() -> None:
    allowed = {*sys.stdlib_module_names, "integrations"}
    found = [name for module in modules("integrations") for _, name in imports(module)]

    assert [name for name in found if name.partition(".")[0] not in allowed] == []
    assert "integrations.comfyui.prompts.Prompt" in found


@pytest.mark.parametrize("folder", ["tests", "examples", "benchmarks"])
def test_only_names_inside_the_namespace_are_imported(folder: str) -> None:
    bare = [
        f"{module.path}:{line} imports {name}"
        for module in modules(folder)
        for line, name in imports(module)
        if _is_bare(name)
    ]

    assert bare == []


def test_a_floor_cannot_be_imported_without_the_namespace() -> None:
    probe = "import asset_ledger, importlib.util as u; print(u.find_spec('ledger'))"

    found = subprocess.run([sys.executable, "-P", "-c", probe], capture_output=True, check=True)

    assert found.stdout == b"None\n"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("ledger/service.py", "from asset_ledger.projections.tables.assets import Assets"),
        ("ledger/service.py", "import asset_ledger.api.settings"),
        ("ledger/log/sqlite.py", "def f() -> None:\n    from asset_ledger.api import settings"),
        ("ledger/log/sqlite.py", "from ...projections import serving"),
        ("ledger/log/sqlite.py", "from ledger.errors import LedgerError"),
        ("ledger/log/sqlite.py", "from asset_ledger.ledger.commit.committer import Committer"),
        ("ledger/merkle/key.py", "from asset_ledger.ledger.log.codec import Codec"),
        ("ledger/domain/asset.py", "from asset_ledger.ledger.log import codec"),
        ("ledger/errors.py", "from http import HTTPStatus"),
        ("ledger/domain/asset.py", "from tests.builders import created"),
        ("projections/runtime/runner.py", "from asset_ledger.ledger.commit.committer import X"),
        ("projections/runtime/runner.py", "from asset_ledger.ledger import commit"),
        ("projections/runtime/runner.py", "import asset_ledger.ledger"),
        ("projections/runtime/runner.py", "from asset_ledger.ledger import *"),
        ("projections/runtime/runner.py", "from asset_ledger.projections.rebuild import build"),
        ("projections/tables/jobs.py", "from asset_ledger.projections.queries.jobs import X"),
        ("projections/runtime/migrate.py", "importlib.import_module('asset_ledger.api.backend')"),
        ("projections/tables/assets.py", "from aiohttp import web"),
        ("api/contract/problems.py", "from asset_ledger.api.http.app import app"),
        ("api/contract/problems.py", "from asset_ledger.api import backend"),
        ("api/contract/problems.py", "from ..http import app"),
        ("api/contract/problems.py", "from .. import export"),
        ("api/http/app.py", "from asset_ledger.api.cli import main"),
        ("api/sdk/remote.py", "from asset_ledger.api.backend import open_backend"),
        ("api/sdk/embedded.py", "from asset_ledger.api.http.app import app"),
        ("api/backend.py", "from asset_ledger.api.http.app import app"),
        ("api/export/prov.py", "from benchmarks import floor"),
        ("api/imports/nodetool.py", "from asset_ledger.api.backend import open_backend"),
        ("asset_ledger/__init__.py", "from asset_ledger.api.backend import open_backend"),
    ],
)
def test_an_import_that_points_up_is_found(path: str, line: str) -> None:
    assert len(wrong_arrows(planted(path, line))) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("ledger/log/sqlite.py", "from asset_ledger.ledger.log.event_log import EventLog"),
        ("ledger/log/sqlite.py", "from . import event_log"),
        ("projections/tables/assets.py", "from asset_ledger.ledger.domain.asset import Asset"),
        ("projections/tables/assets.py", "from asset_ledger.ledger import ids"),
        ("projections/queries/assets.py", "from asset_ledger.projections.queries.pages import X"),
        ("api/http/assets.py", "from asset_ledger.api.contract.assets import AssetOut"),
        ("api/http/assets.py", "from asset_ledger.api.backend import Backend"),
        ("api/cli/serve.py", "from asset_ledger.api.http.app import app"),
        ("api/sdk/embedded.py", "from asset_ledger.api.backend import open_backend"),
        ("api/backend.py", "from asset_ledger.ledger.commit.committer import Committer"),
        ("asset_ledger/__init__.py", "from asset_ledger.api.sdk import Asset"),
    ],
)
def test_an_import_that_points_down_is_allowed(path: str, line: str) -> None:
    assert wrong_arrows(planted(path, line)) == []
