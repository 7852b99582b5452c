"""The console's files as its tests read them: which module imports which, and their sizes."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from asset_ledger.api.http.console import FOLDER, site

OWN: Final = ("core", "parts", "previews", "screens")
MODULES: Final = frozenset({".js", ".mjs"})

_STATIC: Final = re.compile(
    r"""(?:^|[;}])\s*(?:import|export)\b(?:[^;"'()]*?\bfrom)?\s*["'](\.[^"'\s]+)["']""",
    re.MULTILINE,
)
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)  # types in comments import too
_DYNAMIC: Final = re.compile(r"""\bimport\(\s*["'](\.[^"'\s]+)["']""")


def read(name: str) -> str:
    """Return the text of a file, by its path in the console's folder."""
    return (FOLDER / name).read_text("utf-8")


def names(*folders: str, suffixes: Iterable[str] = MODULES) -> list[str]:
    """Return the paths of all files with these suffixes, in these folders or in all."""
    kept = set(suffixes)
    paths = (path for folder in folders or (".",) for path in (FOLDER / folder).rglob("*"))
    return sorted(path.relative_to(FOLDER).as_posix() for path in paths if path.suffix in kept)


def own_modules() -> list[str]:
    return ["app.js", *names(*OWN)]


def loaded_at_once(name: str, text: str) -> Iterator[str]:
    """Yield the modules that a module imports before it runs."""
    return _resolved(name, _STATIC.findall(_COMMENT.sub("", text)))


def loaded_on_demand(name: str, text: str) -> Iterator[str]:
    """Yield the modules that a module imports by import()."""
    return _resolved(name, _DYNAMIC.findall(_COMMENT.sub("", text)))


def closure(start: Iterable[str], follow: Callable[[str], bool] = lambda name: False) -> set[str]:
    """Return these modules and all that they import, on demand too where `follow` allows."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            text = read(name)
            waiting += loaded_at_once(name, text)
            waiting += (each for each in loaded_on_demand(name, text) if follow(each))
    return found


def sent(paths: Iterable[str]) -> int:
    """Return the bytes that these files have gzipped, as the server sends them."""
    return sum(len(site().files[path].gzipped or b"") for path in paths)


def _resolved(name: str, targets: Iterable[str]) -> Iterator[str]:
    base = Path("/") / PurePosixPath(name).parent
    for target in targets:
        path = Path(base, target)
        yield path.resolve().relative_to("/").as_posix()
