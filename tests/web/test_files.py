"""The console's files: the vendored copies, the imports, what is forbidden, the budgets."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from asset_ledger.api.http.console import FOLDER, site, without_comments
from tests.house.source import ROOT
from tests.web.site import (
    closure,
    loaded_at_once,
    loaded_on_demand,
    names,
    own_modules,
    read,
    sent,
)
from tools import console_types, vendor

BELOW: Final = {
    "app.js": {"screens", "parts", "core"},
    "screens": {"screens", "parts", "previews", "core", "vendor"},
    "parts": {"parts", "core", "vendor"},
    "previews": {"previews", "parts", "core", "vendor"},
    "core": {"core", "vendor"},
}
"""What the modules of each floor may import."""

VIEW_LIBRARY: Final = re.compile(r"vendor/(preact|hooks|htm|signals|signals-core)\.mjs")
VIEWER: Final = re.compile(r"vendor/(three|diff|dagre)\b|previews/(?!preview\.js)")
"""Viewers and their libraries, each of which loads when such a thing is looked at."""

REQUESTS: Final = {
    r"\bfetch\(": {"core/api.js"},
    r"\bXMLHttpRequest\b": {"core/upload.js"},  # fetch reports no progress of an upload
    r"\b(EventSource|WebSocket|sendBeacon|importScripts)\b": set[str](),
}
"""Each way to send a request, and the modules that may use it."""

FORBIDDEN: Final = re.compile(
    r"\b(inner|outer)HTML\b|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write"
    r"|\beval\(|new Function\b|\bsetTimeout\(\s*[\"'`]|createContextualFragment|javascript:"
    r"|\bstyle=[\"']|setAttribute\(\s*[\"'](style|on\w+)[\"']|\.srcdoc\b"
)
COLOUR: Final = re.compile(r"(?<![\w&/-])#[0-9a-fA-F]{3,8}\b|\b(rgba?|hsla?|oklch|oklab|lab|lch)\(")


def problems(lock_folder: Path) -> list[str]:
    """Return what the tool finds in a copy of the project, run there as a program."""
    script = "from tools.vendor import check; print(*check(), sep='\\n')"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=lock_folder, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a folder with a copy of the tool and of the console."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    shutil.copytree(FOLDER, tmp_path / "api" / "http" / "web")
    return tmp_path


def packages() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(vendor.LOCK.read_text("utf-8"))["packages"]
    return found


def test_every_vendored_file_equals_the_lock() -> None:
    assert list(vendor.check()) == []


@pytest.mark.parametrize(
    "path",
    ["vendor/preact.mjs", "vendor/three/loaders/STLLoader.js", "vendor/LICENSES.txt", "icons.svg"],
)
def test_one_changed_byte_is_found(copied: Path, path: str) -> None:
    file = copied / "api" / "http" / "web" / path
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)

    assert problems(copied) in ([path], [Path(path).name])


def test_a_missing_file_is_found(copied: Path) -> None:
    (copied / "api" / "http" / "web" / "vendor" / "htm.mjs").unlink()

    assert problems(copied) == ["vendor/htm.mjs"]


def test_the_lock_names_every_vendored_file() -> None:
    locked = {file["path"] for package in packages() for file in package["files"]}

    vendored = {*names("vendor"), *names("fonts", suffixes={".woff2"})}
    assert vendored == locked


def test_every_package_is_pinned_and_has_its_licence() -> None:
    licences = vendor.LICENSES.read_text("utf-8")
    for package in packages():
        assert package["integrity"].startswith("sha512-"), package["name"]
        assert f"{package['name']} {package['version']} ({package['license']})\n===" in licences


def wrong_imports(name: str, text: str) -> Iterator[str]:
    """Yield each import that does not point down, or that passes by the door of a library."""
    floor = name.split("/")[0]
    for target in (*loaded_at_once(name, text), *loaded_on_demand(name, text)):
        if target.split("/")[0] not in BELOW[floor]:
            yield f"{name} imports {target}"
        if VIEW_LIBRARY.fullmatch(target) and name != "core/html.js":
            yield f"{name} imports {target} past core/html.js"


def test_imports_point_down() -> None:
    assert [wrong for name in own_modules() for wrong in wrong_imports(name, read(name))] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/a.js", 'import { a } from "../parts/a.js";'),
        ("previews/a.js", 'import {\n  a,\n} from "../screens/a.js";'),
        ("parts/a.js", 'const a = () => import("../screens/a.js");'),
        ("parts/a.js", 'export { h } from "../vendor/preact.mjs";'),
    ],
)
def test_an_import_that_points_up_is_found(name: str, text: str) -> None:
    assert len(list(wrong_imports(name, text))) == 1


@pytest.mark.parametrize("pattern", REQUESTS)
def test_requests_leave_by_one_door(pattern: str) -> None:
    assert {name for name in own_modules() if re.search(pattern, read(name))} == REQUESTS[pattern]


def test_nothing_makes_markup_code_or_style_from_text() -> None:
    texts = {name: read(name) for name in ("index.html", *own_modules())}
    found = {name: FORBIDDEN.search(text) for name, text in texts.items()}

    assert {name: match[0] for name, match in found.items() if match} == {}


@pytest.mark.parametrize(
    "text",
    ["box.innerHTML = name", "eval(name)", 'html`<p style="color: red">`', "new Function(name)"],
)
def test_what_is_forbidden_is_found(text: str) -> None:
    assert FORBIDDEN.search(text)


def test_colours_stand_in_the_tokens_alone() -> None:
    sheets = [name for name in names("css", suffixes={".css"}) if name != "css/tokens.css"]
    found = {name: COLOUR.findall(read(name)) for name in (*sheets, *own_modules())}

    assert {name: colours for name, colours in found.items() if colours} == {}


@pytest.mark.parametrize(
    "text", ["color: #fff;", "fill:#1a2b3c", "rgb(0 0 0 / 50%)", "oklch(1 0 0)"]
)
def test_a_colour_is_found(text: str) -> None:
    assert COLOUR.search(text)


def test_a_module_has_at_most_300_lines_and_opens_with_what_it_is() -> None:
    texts = {name: read(name) for name in own_modules()}

    assert {name for name, text in texts.items() if len(text.splitlines()) > 300} == set()
    assert {name for name, text in texts.items() if not text.startswith("// ")} == set()


def nodes(module: str) -> Iterator[Node]:
    """Yield each node of a module, in order."""
    waiting = [Parser(Language(tree_sitter_javascript.language())).parse(module.encode()).root_node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def parsed(module: str) -> list[tuple[str, bytes, int]]:
    """Return each word of a module, comments too: its kind, its text and its line.

    Markup has no indentation here: the view library drops it.
    """
    return [
        (node.type, re.sub(rb"[ \t]*\n[ \t]*", b"\n", node.text or b""), node.start_point.row)
        for node in nodes(module)
        if not node.children
    ]


@pytest.mark.parametrize("name", own_modules())
def test_a_module_is_sent_with_the_same_words_in_the_same_lines(name: str) -> None:
    words = parsed(read(name))

    assert "ERROR" not in {kind for kind, *_ in words}
    assert parsed(site().files[name].body.decode()) == [w for w in words if w[0] != "comment"]


@pytest.mark.parametrize(
    "line", ['const a = "b // c";', "html`<p>\n// not a comment</p>`;", "const a = `/** ${b} */`;"]
)
def test_text_that_only_looks_like_a_comment_is_found(line: str) -> None:
    assert parsed(without_comments(line)) != parsed(line)


def long_texts(module: str) -> list[int]:
    """Return the first line of each text of several lines that is not markup."""
    return [
        node.start_point.row + 1
        for node in nodes(module)
        if node.type in ("template_string", "string")
        and node.end_point.row > node.start_point.row
        and not (node.parent and (node.parent.text or b"").startswith(b"html`"))
    ]


@pytest.mark.parametrize("name", own_modules())
def test_no_text_loses_an_indentation_that_is_shown(name: str) -> None:
    assert long_texts(read(name)) == []


def test_a_text_of_several_lines_is_found() -> None:
    assert long_texts("const a = html`<p>\n  b</p>`;\nconst b = `c\n  d`;") == [3]


def test_no_text_of_a_sheet_looks_like_a_comment() -> None:
    sheets = {name: read(name) for name in names("css", suffixes={".css"})}

    for name, text in sheets.items():
        assert re.findall(r"(['\"])[^'\"\n]*/\*[^\n]*?\1", text) == [], name
        assert "/*" not in site().files[name].body.decode()
        assert site().files[name].body.count(b"{") == len(re.findall(r"{", text)), name


def test_the_types_of_the_api_are_those_of_the_contract() -> None:
    assert read("core/types.d.ts") == console_types.types(), "python -m tools.console_types"


def test_every_file_that_is_loaded_exists_and_every_module_is_loaded() -> None:
    page = read("index.html")
    named = set(re.findall(r'"PREFIX/([^"]+)"', page))
    reached = closure(["app.js"], follow=lambda name: True)

    assert {name for name in named if not (FOLDER / name).is_file()} == set()
    assert set(names()) == reached
    assert set(names("css", suffixes={".css"})) == {name for name in named if name.endswith(".css")}


def test_the_page_preloads_only_what_the_first_view_needs() -> None:
    preloaded = re.findall(r'"modulepreload" href="PREFIX/([^"]+)"', read("index.html"))

    assert set(preloaded) <= closure(["app.js"])


def test_the_javascript_of_the_first_view_keeps_to_its_budget() -> None:
    assert sent(closure(["app.js", "screens/assets.js"])) <= 60_000


def test_the_javascript_without_viewers_keeps_to_its_budget() -> None:
    without = closure(["app.js"], follow=lambda name: not VIEWER.match(name))

    assert sent(without) <= 110_000


def test_all_styles_keep_to_their_budget() -> None:
    assert sent(names("css", suffixes={".css"})) <= 12_000


def test_the_fonts_and_the_page_keep_to_their_budgets() -> None:
    fonts = names("fonts", suffixes={".woff2"})

    assert sum((FOLDER / name).stat().st_size for name in fonts) <= 63_000
    assert len(site().page.gzipped or b"") <= 2_000
