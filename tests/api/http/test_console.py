"""The console over HTTP: the page at each of its paths, its files, and what answers as before."""

import gzip
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from asset_ledger.api.http import console
from asset_ledger.api.http.console import FOLDER, POLICY, site, without_comments
from tests.api.running import Answer, Api

PATHS = (
    "/",
    "/?job_id=a%2Fb&open=x&open=y",
    "/assets/0123456789abcdef0123456789abcdef",
    "/jobs",
    "/jobs/a%2Fb",
    "/jobs/j?tab=compare&with=k",
    "/usage",
    "/nodes/upscale-4x",
    "/workflows/w",
    "/ledger",
    "/sign-in?next=%2Fjobs",
)
TYPES = {
    "app.js": "text/javascript; charset=utf-8",
    "vendor/preact.mjs": "text/javascript; charset=utf-8",
    "css/tokens.css": "text/css; charset=utf-8",
    "icons.svg": "image/svg+xml",
    "fonts/inter.woff2": "font/woff2",
}


def assert_safe(answer: Answer) -> None:
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", PATHS)
async def test_each_path_of_the_console_answers_its_page_under_the_policy(
    api: Api, path: str
) -> None:
    answer = await api.get(path)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.body == site().page.body
    assert_safe(answer)


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    directives = dict(each.strip().split(" ", 1) for each in POLICY.split(";"))

    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in POLICY
    assert not re.search(r"https?:|\*|data:", POLICY)


@pytest.mark.parametrize("name", TYPES)
async def test_a_file_may_be_kept_for_ever(api: Api, name: str) -> None:
    answer = await api.get(f"/web/{site().digest}/{name}")

    assert (answer.status, answer.headers["Content-Type"]) == (200, TYPES[name])
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.body == site().files[name].body
    assert_safe(answer)


@pytest.mark.parametrize("name", ["app.js", "css/console.css", "icons.svg"])
async def test_a_text_is_sent_gzipped_to_a_client_that_takes_it(api: Api, name: str) -> None:
    answer = await api.get(f"/web/{site().digest}/{name}", Accept_Encoding="gzip")

    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(answer.body) == site().files[name].body
    assert len(answer.body) < (FOLDER / name).stat().st_size


@pytest.mark.parametrize(
    "name", ["vendor/preact.mjs", "vendor/diff/diff/line.js", "icons.svg", "fonts/inter.woff2"]
)
def test_a_file_is_sent_as_it_is(name: str) -> None:
    assert site().files[name].body == (FOLDER / name).read_bytes()


@pytest.mark.parametrize(
    ("module", "sent"),
    [
        ("// Opens.\nf(1); // why\n", "\nf(1); \n"),
        ("/** One.\n * @type {A} */\nconst a = (/** @type {B} */ (b));", "\n\nconst a = ((b));"),
        ('const url = "http://a"; a / b; /a\\/\\/b/', 'const url = "http://a"; a / b; /a\\/\\/b/'),
    ],
)
def test_comments_of_our_modules_are_not_sent(module: str, sent: str) -> None:
    assert without_comments(module) == sent


def test_comments_of_our_sheets_are_not_sent() -> None:
    sheet = '/* One\n * two. */\na { content: "//"; } /* */ b { }'

    assert without_comments(sheet, ".css") == '\n\na { content: "//"; }  b { }'


async def test_a_font_is_sent_as_it_is(api: Api) -> None:
    answer = await api.get(f"/web/{site().digest}/fonts/inter.woff2", Accept_Encoding="gzip")

    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/web/0123456789abcdef/app.js",
        "/web/{digest}/nothing.js",
        "/web/{digest}/index.html",
        "/web/{digest}/../console.py",
        "/web/{digest}/%2e%2e/console.py",
        "/web/{digest}/core/types.d.ts",
        "/web/{digest}/",
        "/web/app.js",
        "/x",
        "/assets",
        "/jobs/a/b",
        "/console",
        "/api",
        "/api/x",
    ],
)
async def test_what_is_not_there_is_a_problem_and_not_the_page(api: Api, path: str) -> None:
    answer = await api.get(path.format(digest=site().digest))

    assert answer.status == 404
    assert answer.slug in ("unknown-route", "unknown-asset")


async def test_the_page_names_only_files_that_the_server_has(api: Api) -> None:
    page = (await api.get("/")).body.decode()
    named = re.findall(r'(?:href|src)="(/web/[^"]+)"', page)

    assert len(named) > 10
    assert "PREFIX" not in page
    for path in named:
        assert (await api.get(path)).status == 200, path


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a copy of the console's folder, which the server reads in its stead."""
    folder = shutil.copytree(FOLDER, tmp_path / "web")
    monkeypatch.setattr(console, "FOLDER", folder)
    site.cache_clear()
    yield folder
    site.cache_clear()


@pytest.mark.parametrize("name", ["app.js", "css/replay.css", "vendor/three.mjs", "index.html"])
def test_a_changed_file_changes_the_address_of_all(changed: Path, name: str) -> None:
    before = site().digest
    with (changed / name).open("ab") as file:
        file.write(b"\n")
    site.cache_clear()

    assert site().digest != before
    assert f"/web/{site().digest}/app.js".encode() in site().page.body


def test_the_same_files_have_the_same_address(changed: Path) -> None:
    before = site().digest
    site.cache_clear()

    assert site().digest == before
