"""The README is short, and its tour runs as written."""

import re
from pathlib import Path

import pytest

from tests.house.console import Step, document, mismatches, steps
from tests.journeys.server import serving

README = document("README.md")


def test_tour_prints_what_the_readme_shows(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        assert mismatches(README, server) == []


def test_tour_makes_every_essential_call() -> None:
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
def test_step_fits_only_its_expected_output(expected: str, printed: str, fits: bool) -> None:
    assert Step("true", expected).fits(printed) is fits


def test_make_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^(\w+):", document("Makefile"), re.MULTILINE)

    assert {"serve", "test"} <= set(targets)
    assert set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)) <= set(targets)


def test_readme_has_at_most_900_words() -> None:
    assert len(README.split()) <= 900


def test_tour_has_at_most_twenty_commands() -> None:
    assert len(steps(README)) <= 20
