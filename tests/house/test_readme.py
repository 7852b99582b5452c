"""The README describes the product: its tour runs as written, its tables match the code."""

import re
from pathlib import Path

import pytest

from asset_ledger.api.cli import COMMANDS
from asset_ledger.api.settings import Settings
from tests.house.console import Step, document, steps, surprises, table
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
