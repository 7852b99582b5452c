"""Every test that docs/reliability.md names exists."""

import ast
import re

from tests.house.console import document
from tests.house.source import modules


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", document("docs/reliability.md")))
    functions = {
        node.name
        for module in modules("tests")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert len(named) > 20
    assert named - functions == set()
