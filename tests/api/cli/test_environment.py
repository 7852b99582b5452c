"""Environment variables that are misspelt: the server starts without them, and says so."""

import re
from pathlib import Path

import orjson
import pytest

from asset_ledger import api
from asset_ledger.api.environment import KNOWN, misspelt
from tests.journeys.server import run


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ASSET_LEDGER_AUHT", "ASSET_LEDGER_AUTH"),
        ("ASSET_LEDGER_DATADIR", "ASSET_LEDGER_DATA_DIR"),
        ("ASSET_LEDGER_JWT_JWK", "ASSET_LEDGER_JWT_JWKS"),
        ("asset_ledger_prot", "ASSET_LEDGER_PORT"),
    ],
)
def test_a_misspelt_variable_is_found_with_the_nearest_known_one(name: str, nearest: str) -> None:
    assert list(misspelt({name: "x", "PATH": "/bin"})) == [(name, nearest)]


def test_what_is_known_empty_or_somebody_elses_is_not_misspelt() -> None:
    known = dict.fromkeys([*KNOWN, "asset_ledger_port", "ASSET_LEDGERS", "AUHT"], "x")

    assert list(misspelt({**known, "ASSET_LEDGER_AUHT": ""})) == []


def test_every_variable_that_the_program_names_is_known() -> None:
    sources = Path(api.__file__).parent.rglob("*.py")
    named = {
        name for file in sources for name in re.findall(r"ASSET_LEDGER_[A-Z_]+\b", file.read_text())
    }

    assert named - {"ASSET_LEDGER_"} <= KNOWN


def test_serve_says_so_in_one_line_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # which ends it

    done = run(
        *("serve", "--port", "0", "--log-format", "json", "--data-dir", tmp_path / "file"),
        before=["env", "ASSET_LEDGER_AUHT=secret"],
    )

    warning, refusal = done.stderr.splitlines()
    said = orjson.loads(warning)
    assert (said["level"], said["message"]) == (
        "warning",
        "ASSET_LEDGER_AUHT is no setting, and is ignored; the nearest is ASSET_LEDGER_AUTH",
    )
    assert "secret" not in done.stderr
    assert "cannot be a data folder" in refusal
