"""Names of zip entries: valid on every system, unique, and inside their folder."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asset_ledger.api.http.entry_names import (
    MAX_BYTES,
    MAX_PATH,
    MAX_ZIPPED,
    EntryNames,
    inside,
    safe,
)

NAMES = st.text(st.sampled_from("aA.ß/\\: \u0301é\x00\u202e)(12") | st.characters(), max_size=12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat.png", "cat.png"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\windows\\x.dll", "C__windows_x.dll"),
        ("..", "_"),
        (".", "_"),
        (" ", "_"),
        ("a. .", "a"),
        ("NUL", "_NUL"),
        ("com1.txt", "_com1.txt"),
        ("console.txt", "console.txt"),
        ("a\x00b\nc", "a_b_c"),
        ("gpj.\u202efdp", "gpj._fdp"),
        (".profile", ".profile"),
        ("日本.png", "日本.png"),
        ("x" * 4096 + ".jpeg", "x" * (MAX_BYTES - 5) + ".jpeg"),
    ],
)
def test_a_name_is_changed_to_be_valid_on_every_system(name: str, expected: str) -> None:
    assert safe(name) == expected


def test_names_are_numbered_when_equal_on_some_system() -> None:
    names = EntryNames()
    taken = [names.take("", name) for name in ("a.png", "A.PNG", "a.png", "a (2).png", "é")]

    assert taken == ["a.png", "A (2).PNG", "a (3).png", "a (2) (2).png", "é"]
    assert names.take("", "e\u0301") == "é (2)"
    assert names.take("folder/", "a.png") == "folder/a.png"


def test_ten_thousand_equal_names_get_distinct_numbers() -> None:
    names = EntryNames()

    assert len({names.take("", "output.png") for _ in range(10_000)}) == 10_000
    assert names.take("", "output.png") == "output (10001).png"


@pytest.mark.parametrize("most", [MAX_ZIPPED, MAX_PATH])
def test_a_nested_path_stops_growing_at_its_limit(most: int) -> None:
    path = ""
    for _ in range(100):
        path = EntryNames().take(inside(path, most) if path else "", "x" * 300)

    assert most - MAX_BYTES < len(path) <= most + MAX_BYTES + 1


@given(st.lists(st.tuples(st.sampled_from(["", "f/", "f/g/"]), NAMES), max_size=20))
@example([("", "con"), ("", "_con")])
@example([("", "a"), ("", "A"), ("", "a (2)")])
def test_entries_are_unique_and_stay_in_their_folder(entries: list[tuple[str, str]]) -> None:
    names = EntryNames()
    paths = [(folder, names.take(folder, name)) for folder, name in entries]

    for folder, path in paths:
        own = path.removeprefix(folder)
        assert path.startswith(folder)
        assert own not in ("", ".", "..")
        assert not set(own) & set('/\\:*?"<>|\0\n')
        assert len(own.encode()) <= 255
    alike = {unicodedata.normalize("NFC", path.casefold()) for _, path in paths}
    assert len(alike) == len(paths)
