"""The README says what is: its tour is run as written, its tables and its map are held against
the house."""

import re
from pathlib import Path

import pytest

from api.cli import COMMANDS
from api.settings import Settings
from tests.house.console import Step, document, steps, surprises, table
from tests.house.source import ROOT, tracked
from tests.journeys.server import serving

README = document("README.md")


def test_the_tour_answers_what_the_readme_shows(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        assert surprises(README, server) == []


def test_the_tour_makes_the_calls_that_matter() -> None:
    tour = "\n".join(step.command for step in steps(README))

    for part in ("-X POST", "?job_id=", "&node_id=", "/content", "-X DELETE", "/history", "replay"):
        assert part in tour


@pytest.mark.parametrize(
    ("expected", "printed", "fits"),
    [
        ("200 OK", "200 OK\n", True),
        ('{"id":"...","n":1}', '{"id":"7","n":1}', True),
        ("a  1\n...\nd", "a    1  \nb\nc\nd", True),
        ("200 OK", "404 Not Found", False),
        ('{"id":"...","n":1}', '{"id":"7","n":2}', False),
        ("", "curl: (7) Failed to connect", False),
    ],
)
def test_a_step_fits_what_it_shows_and_nothing_else(
    expected: str, printed: str, fits: bool
) -> None:
    assert Step("true", expected).fits(printed) is fits


def test_both_commands_of_the_start_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^(\w+):", document("Makefile"), re.MULTILINE)

    assert {"serve", "test"} <= set(targets)
    assert set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)) <= set(targets)


def test_the_table_of_settings_is_that_of_the_class() -> None:
    assert table(README, "flag") == [
        [
            f"`--{name.replace('_', '-')}`",
            f"`ASSET_LEDGER_{name.upper()}`",
            f"`{str(field.default).lower() if field.default is False else field.default}`",
            str(field.description),
        ]
        for name, field in Settings.model_fields.items()
    ]


def test_the_table_of_commands_is_that_of_the_command_line() -> None:
    named = [row[0].strip("`").split()[1] for row in table(README, "command")]

    assert sorted(named) == sorted(COMMANDS)


def test_the_map_shows_rooms_that_are_there_and_every_floor() -> None:
    shown = _map()

    assert [path for path in shown if not (ROOT / path).exists()] == []
    assert {path.split("/")[0] for path in tracked() if path.endswith(".py")} <= {
        path.rstrip("/") for path in shown
    }


def _map() -> list[str]:
    """The paths on the map: a floor at the margin, and the names in it before two blanks."""
    drawn = README.partition("## The map of the house")[2].split("```")[1]
    paths, floor = [], ""
    for line in drawn.strip().splitlines():
        names = re.split(r" {2,}", line.strip())[0].split()
        if line.startswith(" "):
            paths += [floor + name for name in names]
        else:
            floor = names[0]
            paths += names
    return paths
