"""What git carries: source that means the same on every machine; no ledger, no key, no place."""

import re
from fnmatch import fnmatch

import pytest

from tests.house.source import ROOT, tracked

NEVER_TRACKED = ("data/*", ".venv/*", "*.egg-info/*", "*.key", "*.pem", "*.db", "*.db-*")
FIXTURES = "tests/*.db"  # files of earlier releases, kept to be migrated

# Homes, and the folders that machines check out and build in. After a word character, a brace or a
# dot it is the middle of a longer path (`data/tmp/part`, `{root}/tmp/part`) and names no machine.
MACHINE_PATH = re.compile(
    r"(?<![\w.$}>)-])/(?:root|home/\w+|Users/\w+|tmp|work|workspace|builds)/\w"
)
REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org")
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def misplaced(paths: list[str]) -> list[str]:
    return [
        path
        for path in paths
        if any(fnmatch(path, pattern) for pattern in NEVER_TRACKED) and not fnmatch(path, FIXTURES)
    ]


def machine_texts(text: str) -> list[str]:
    """Return the paths, hosts and keys in a text that belong to one machine."""
    patterns = (MACHINE_PATH, REGISTRY, PRIVATE_KEY)
    found = [match.group() for pattern in patterns for match in pattern.finditer(text)]
    return found + [str(ROOT)] * (str(ROOT) in text)


def tracked_texts() -> dict[str, str]:
    """Every tracked file but this one, which has to spell out what it looks for.

    The links from `asset_ledger/` to the floors have no text.
    """
    here = "tests/house/test_repository.py"
    return {
        path: (ROOT / path).read_bytes().decode("utf-8", "replace")
        for path in tracked()
        if path != here and (ROOT / path).is_file()
    }


def test_no_ledger_no_key_and_no_environment_is_tracked() -> None:
    assert misplaced(tracked()) == []


def test_no_file_names_a_machine_a_registry_or_a_secret() -> None:
    found = {path: machine_texts(text) for path, text in tracked_texts().items()}

    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "path", ["data/ledger.db", "data/lock", "examples/run.db-wal", "data/checkpoint.key", "jwt.pem"]
)
def test_a_tracked_ledger_or_key_is_found(path: str) -> None:
    assert misplaced([path]) == [path]


@pytest.mark.parametrize(
    "path",
    ["ledger/storage/sqlite.py", "tests/fixtures/0.1/projections.g1.db", "ledger/merkle/key.py"],
)
def test_source_and_fixtures_are_let_through(path: str) -> None:
    assert misplaced([path]) == []


@pytest.mark.parametrize(
    "text",
    [
        "cd /root/ledger",
        "python /home/eve/ledger/serve.py",
        'open("/tmp/upload")',
        "made in /work/tree",
        "(/Users/eve/ledger)",
        "get it from https://pypi" + ".org/simple",
        "-----BEGIN EC PRIVATE KEY-----",
        f"see {ROOT}",
    ],
)
def test_a_word_of_one_machine_is_found(text: str) -> None:
    assert machine_texts(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "/usr/share/doc",
        "data/tmp/part",
        "{folder}/tmp/part",
        "../../etc/passwd",
        "GET /workflows/home/1",
        "${TMPDIR:-/tmp}",
        "https://host.example/tmp/part",
    ],
)
def test_a_path_that_means_the_same_everywhere_is_let_through(text: str) -> None:
    assert machine_texts(text) == []
