"""Each point of the specification names tests that exist."""

from importlib import import_module

import pytest

from tests.web.acceptance import POINTS


def test_every_point_is_in_the_table() -> None:
    assert list(POINTS) == list(range(1, 43))
    assert all(POINTS.values())


@pytest.mark.parametrize("point", POINTS)
def test_the_tests_of_a_point_exist(point: int) -> None:
    for named in (each for each in POINTS[point] if each.startswith("tests.")):
        module, _, function = named.partition("::")
        found = import_module(module)
        assert not function or hasattr(found, function), named
