"""The web console: its page at `/` and the files that the page loads.

Promise: every page has the same strict policy, and loads and runs only files of this server.
All files lie under `/web/<digest of all files>/`, so a browser may keep them for ever; the page
itself names that digest and is revalidated each time. Comments and indentation of the console's
own files are not sent: line numbers stay those of the files (decision 48).
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import web

from asset_ledger.api.contract.errors import UnknownRouteError
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.http.answers import accepts_gzip
from asset_ledger.api.http.request import Request

FOLDER: Final = Path(__file__).with_name("web")

PAGES: Final = (
    "/assets/{id}",
    "/jobs",
    "/jobs/{job_id}",
    "/usage",
    "/nodes/{node_id}",
    "/workflows/{workflow_id}",
    "/ledger",
    "/sign-in",
)
"""The paths of the console's screens, which all answer the same page."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self';"
    " img-src 'self' blob:; media-src 'self' blob:; frame-src blob:; manifest-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
_SAFETY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # "no-referrer" sends `Origin: null` with forms
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_COMMENTS: Final = {
    ".js": re.compile(r"/\*\*.*?\*/ ?|(?<!\S)//[^\n]*", re.DOTALL),
    ".css": re.compile(r"/\*.*?\*/", re.DOTALL),
}
"""Comments of the console's own files. The tests look for text that only looks like one."""
_MARGINS: Final = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)

_PREFIX: Final = "PREFIX"  # what index.html has in the place of the files' address
_IMMUTABLE: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class File:
    """One file: its bytes, the same gzipped (None where that gains nothing), its media type."""

    body: bytes
    gzipped: bytes | None
    content_type: str


@dataclass(frozen=True, slots=True)
class Site:
    """Every file of the console by its path, the page, and the digest in their address."""

    digest: str
    page: File
    files: Mapping[str, File]


@cache
def site() -> Site:
    """Return the console as it is installed. The files are read and gzipped once."""
    bodies = {
        path.relative_to(FOLDER).as_posix(): _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }
    joined = b"".join(f"{name}\n{len(body)}\n".encode() + body for name, body in bodies.items())
    digest = hashlib.sha256(joined).hexdigest()[:16]
    page = bodies.pop("index.html").decode().replace(_PREFIX, f"/web/{digest}")
    files = {name: _file(name, body) for name, body in bodies.items()}
    return Site(digest, _file("index.html", page.encode()), files)


def _read(path: Path) -> bytes:
    """Return what is sent of a file: of a module or a sheet of our own, its words and lines."""
    body = path.read_bytes()
    if path.suffix not in _COMMENTS or path.is_relative_to(FOLDER / "vendor"):
        return body
    return _MARGINS.sub("", without_comments(body.decode(), path.suffix)).encode()


def without_comments(text: str, suffix: str = ".js") -> str:
    """Return a text with the line ends alone in the place of each comment."""
    return _COMMENTS[suffix].sub(lambda found: "\n" * found[0].count("\n"), text)


def _file(name: str, body: bytes) -> File:
    content_type = _TYPES[Path(name).suffix]
    gzipped = None if content_type == "font/woff2" else gzip.compress(body, mtime=0)
    return File(body, gzipped, content_type)


@operation("GET", "/", aliases=PAGES, gives=["text/html"], any_query=True)
async def get_console(request: Request) -> web.Response:
    """Return the web console."""
    return _answer(request, site().page, "no-cache")


@operation("GET", "/web/{digest}/{file...}", errors=[UnknownRouteError], gives=["text/javascript"])
async def get_console_file(request: Request) -> web.Response:
    """Return a file of the web console."""
    served, path = site(), request.path_values
    file = served.files.get(path["file"])
    if path["digest"] != served.digest or file is None:
        raise UnknownRouteError(request.rel_url.raw_path)
    return _answer(request, file, _IMMUTABLE)


def _answer(request: Request, file: File, cache_control: str) -> web.Response:
    headers = {"Content-Type": file.content_type, "Cache-Control": cache_control, **_SAFETY}
    if file.gzipped is None:
        return web.Response(body=file.body, headers=headers)
    headers["Vary"] = "Accept-Encoding"
    if not accepts_gzip(request.headers.get("Accept-Encoding", "")):
        return web.Response(body=file.body, headers=headers)
    return web.Response(body=file.gzipped, headers={**headers, "Content-Encoding": "gzip"})
