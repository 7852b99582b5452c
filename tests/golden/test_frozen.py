"""What no release may change is as `frozen.json` has it."""

import json
from pathlib import Path

import pytest

from tests.golden import frozen
from tests.golden.frozen import FILE, broken, main


def test_nothing_that_is_frozen_has_changed() -> None:
    before, now = json.loads(FILE.read_text("utf-8")), frozen.frozen()

    assert len(now) > 70
    remedy = "before the release of 0.2.0, and for a new name, run `python -m tests.golden.frozen`"
    assert broken(before, now) == [], remedy
    assert now.keys() - before.keys() == set(), remedy


@pytest.mark.parametrize(
    "name",
    ["topic of AssetCreated", "format of pack record", "migration 20260101_000000_create_edges"],
)
def test_a_change_is_found_and_refused_after_the_release(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {name: "new", "another": "same"}
    monkeypatch.setattr(frozen, "frozen", lambda: now)
    monkeypatch.setattr(frozen, "FILE", tmp_path / "frozen.json")
    frozen.FILE.write_text(json.dumps({name: "old"}))

    assert broken({name: "old"}, now) == [name]
    assert broken({"gone": "old"}, now) == ["gone"]
    assert main((0, 2, 0)) == main((1, 0)) == 1
    assert json.loads(frozen.FILE.read_text()) == {name: "old"}
    assert main((0, 1, 9)) == 0
    assert main((0, 2, 0)) == 0  # nothing changed since then
    assert json.loads(frozen.FILE.read_text()) == now
