"""Misspelt environment variables: the server ignores them and logs a warning."""

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
def test_a_misspelt_variable_is_found_with_the_nearest_known_name(name: str, nearest: str) -> None:
    assert list(misspelt({name: "x", "PATH": "/bin"})) == [(name, nearest)]


def test_known_empty_and_foreign_variables_are_not_misspelt() -> None:
    known = dict.fromkeys([*KNOWN, "asset_ledger_port", "ASSET_LEDGERS", "AUHT"], "x")

    assert list(misspelt({**known, "ASSET_LEDGER_AUHT": ""})) == []


def test_every_variable_named_in_the_source_is_known() -> None:
    sources = Path(api.__file__).parent.rglob("*.py")
    named = {
        name
        for file in sources
        for name in re.findall(r"\bASSET_LEDGER_[A-Z_]+\b", file.read_text())
    }

    assert named - {"ASSET_LEDGER_"} <= KNOWN


def test_serve_warns_of_a_misspelt_variable_without_its_value(tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # ends `serve` after the warning

    done = run(
        *("serve", "--port", "0", "--log-format", "json", "--data-dir", tmp_path / "file"),
        before=["env", "ASSET_LEDGER_AUHT=secret"],
    )

    warning, refusal = done.stderr.splitlines()
    record = orjson.loads(warning)
    assert (record["level"], record["message"]) == (
        "warning",
        "ASSET_LEDGER_AUHT is not a setting and is ignored; did you mean ASSET_LEDGER_AUTH?",
    )
    assert "secret" not in done.stderr
    assert "cannot be a data folder" in refusal
