"""No test loads a floor outside the namespace `asset_ledger`."""

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from tests.house.source import FLOORS, ROOT


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("module", ["", ".errors"])
def test_import_of_a_floor_is_refused_in_a_test(floor: str, module: str) -> None:
    with pytest.raises(ImportError, match=f"import asset_ledger.{floor}, not {floor}"):
        import_module(f"{floor}{module}")
    with pytest.raises(ImportError):
        find_spec(floor)

    assert floor not in sys.modules


def test_import_of_a_floor_is_refused_in_a_program_of_the_suite() -> None:
    program = "import tests.builders, ledger"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "ImportError: import asset_ledger.ledger, not ledger" in done.stderr


def test_no_floor_is_loaded_when_the_namespace_is_imported_in_the_checkout() -> None:
    program = "import sys, asset_ledger.api.cli, asset_ledger.sync; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert set(done.stdout.split()).isdisjoint(FLOORS)
