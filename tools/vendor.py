"""Fetch the browser libraries that `vendor.lock.json` names, and check the copies of them.

`make vendor` runs `npm pack` for each package, compares the tarball with the integrity in the lock,
copies the files that the lock names, and rewrites their bare imports to relative ones. `check`
compares the copies with the sums in the lock, offline.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

WEB: Final = Path(__file__).parents[1] / "api" / "http" / "web"
LOCK: Final = WEB / "vendor" / "vendor.lock.json"
ICONS: Final = WEB / "icons.svg"
LICENSES: Final = WEB / "vendor" / "LICENSES.txt"

_BARE: Final = re.compile(r"""(\bfrom|\bimport)\s*(["'])([^"'./][^"']*)\2""")
_SVG: Final = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)
_SOURCE_MAP: Final = re.compile(rb"\n//# sourceMappingURL=\S+\s*$")


def fetch() -> None:
    """Fetch every package of the lock, write its files, and store their sums in the lock."""
    lock = json.loads(LOCK.read_text())
    licenses = []
    for package in lock["packages"]:
        with TemporaryDirectory() as folder:
            archive = _pack(package, Path(folder))
            licenses.append(_license(package, archive))
            for file in package["files"]:
                body = _content(archive, file["source"], lock["imports"])
                target = WEB / file["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(body)
                file["sha256"] = hashlib.sha256(body).hexdigest()
            if "icons" in package:
                ICONS.write_text(_sprite(archive, package["icons"]))
                package["icons_sha256"] = _sum(ICONS)
    LICENSES.write_text("\n\n".join(licenses))
    lock["licenses_sha256"] = hashlib.sha256(LICENSES.read_bytes()).hexdigest()
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")


def check() -> Iterator[str]:
    """Yield the path of each vendored file that differs from the lock."""
    lock = json.loads(LOCK.read_text())
    for package in lock["packages"]:
        for file in package["files"]:
            if _sum(WEB / file["path"]) != file["sha256"]:
                yield file["path"]
        if "icons" in package and _sum(ICONS) != package["icons_sha256"]:
            yield ICONS.name
    if _sum(LICENSES) != lock["licenses_sha256"]:
        yield LICENSES.name


def _pack(package: dict[str, Any], folder: Path) -> Path:
    name = f"{package['name']}@{package['version']}"
    subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, capture_output=True)
    archive = next(folder.glob("*.tgz"))
    digest = hashlib.sha512(archive.read_bytes()).digest()
    integrity = "sha512-" + base64.b64encode(digest).decode()
    if package.setdefault("integrity", integrity) != integrity:
        sys.exit(f"{name}: the tarball has the integrity {integrity}, not that of the lock")
    return archive


def _read(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"package/{name}")
        if member is None:
            sys.exit(f"{archive.name} has no file {name}")
        return member.read()


def _content(archive: Path, source: str, imports: Mapping[str, str]) -> bytes:
    body = _read(archive, source)
    if not source.endswith((".mjs", ".js")):
        return body
    text = _SOURCE_MAP.sub(b"\n", body).decode()
    return b"// @ts-nocheck\n" + _BARE.sub(lambda found: _relative(found, imports), text).encode()


def _relative(found: re.Match[str], imports: Mapping[str, str]) -> str:
    """Return an import with a relative address. Texts that only look like one stay."""
    target = imports.get(found[3])
    return f'{found[1]} "{target}"' if target else found[0]


def _sprite(archive: Path, names: Sequence[str]) -> str:
    """Return one SVG with a symbol for each icon, which `<use href="...#name">` shows."""
    symbols = []
    for name in names:
        inner = _SVG.search(_read(archive, f"icons/{name}.svg").decode())
        if inner is None:
            sys.exit(f"the icon {name} is not an SVG")
        shapes = " ".join(inner[1].split())
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def _license(package: Mapping[str, Any], archive: Path) -> str:
    title = f"{package['name']} {package['version']} ({package['license']})"
    return f"{title}\n{'=' * len(title)}\n{_read(archive, package['license_file']).decode()}"


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


if __name__ == "__main__":
    fetch()
