"""The locks pin everything by hash, name no place to fetch it from, and fit pyproject.toml."""

import re
import tomllib
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.source import ROOT

RUNTIME = "requirements.lock"
DEV = "requirements-dev.lock"

PLACE = re.compile(r"^-|\w+://|file:\S| @ |(?<!\w)/\w")  # an option, an address, a folder
PINNED = re.compile(
    r"(?P<requirement>[\w.-]+==[\w.!+]+(?: ; .+?)?) \\\n"
    r"(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
)


def places(lock: str) -> list[str]:
    """Lines that say where a package comes from."""
    return [line for line in lock.splitlines() if PLACE.search(line)]


def pins(lock: str) -> dict[str, Requirement]:
    """Every pinned requirement that has its hashes, by canonical name."""
    found = [Requirement(match["requirement"]) for match in PINNED.finditer(lock)]
    return {canonicalize_name(pin.name): pin for pin in found}


def unpinned(lock: str) -> list[str]:
    """What remains of a lock without comments and pins: nothing, if it is whole."""
    rest = re.sub(r"^ *#.*\n", "", PINNED.sub("", lock), flags=re.MULTILINE)
    return [line for line in rest.splitlines() if line.strip()]


def misfits(lock: str, wanted: list[str]) -> list[str]:
    """Requirements that the lock leaves out, or pins outside what they allow."""
    locked = pins(lock)
    return [text for text in wanted if not _fits(Requirement(text), locked)]


def _fits(wanted: Requirement, locked: dict[str, Requirement]) -> bool:
    pin = locked.get(canonicalize_name(wanted.name))
    if pin is None:
        return False
    version = next(iter(pin.specifier)).version
    return wanted.specifier.contains(version, prereleases=True)


@cache
def lock(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@cache
def declared() -> dict[str, list[str]]:
    """What pyproject.toml asks for, by the lock that has to hold it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    runtime = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    extras = project["project"]["optional-dependencies"].values()
    return {RUNTIME: runtime, DEV: [*runtime, *(text for extra in extras for text in extra)]}


@pytest.mark.parametrize("name", [RUNTIME, DEV])
def test_a_lock_names_no_place(name: str) -> None:
    assert places(lock(name)) == []


@pytest.mark.parametrize("name", [RUNTIME, DEV])
def test_everything_in_a_lock_is_pinned_by_hash(name: str) -> None:
    assert unpinned(lock(name)) == []


@pytest.mark.parametrize("name", [RUNTIME, DEV])
def test_a_lock_holds_what_pyproject_asks_for(name: str) -> None:
    assert misfits(lock(name), declared()[name]) == []


def test_both_locks_pin_the_same_versions() -> None:
    tools = pins(lock(DEV))

    assert [str(pin) for name, pin in pins(lock(RUNTIME)).items() if tools.get(name) != pin] == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example/simple",
        "--find-links wheels",
        "    # via -r /srv/requirements.in",
        "aiohttp @ file:wheels/aiohttp.whl",
        "aiohttp @ git+ssh://git.example/aiohttp",
    ],
)
def test_a_place_in_a_lock_is_found(line: str) -> None:
    assert places(f"{lock(RUNTIME)}{line}\n") == [line]


@pytest.mark.parametrize(
    "line", ["aiohttp==3.0", "aiohttp>=3 \\", "aiohttp==3.0 \\\n    --hash=md5:0"]
)
def test_a_pin_without_its_hash_is_found(line: str) -> None:
    assert unpinned(f"{line}\n{lock(RUNTIME)}") == line.splitlines()


def test_a_requirement_that_the_lock_does_not_fit_is_found() -> None:
    wanted = ["aiohttp>=1000", "no-such-package", "aiosqlite"]

    assert misfits(lock(RUNTIME), wanted) == wanted[:2]
