"""The types of the console's modules, checked by tsc where `make lint-web` has installed it."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT

TOOLS: Final = ROOT / "tools" / "web"
TSC: Final = TOOLS / "node_modules" / ".bin" / "tsc"
PARTS: Final = ROOT / "api" / "http" / "web" / "parts"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TSC.exists(), reason="no tsc here: make lint-web"),
]


def checked(project: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [TSC, "--pretty", "false", "--project", project]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_modules_have_the_types_that_they_say() -> None:
    found = checked(TOOLS)

    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('h(Icon, { nmae: "x" });', "nmae"),
        ('h(Icon, { name: "x", small: 1 });', "number"),
        ("void session.value?.user;", "user"),
    ],
)
def test_a_misspelt_property_is_found(tmp_path: Path, line: str, named: str) -> None:
    wrong, project = tmp_path / "wrong.js", tmp_path / "tsconfig.json"
    core = PARTS.parent / "core"
    wrong.write_text(
        f"import {{ Icon }} from {json.dumps(str(PARTS / 'basic.js'))};\n"
        f"import {{ h }} from {json.dumps(str(core / 'html.js'))};\n"
        f"import {{ session }} from {json.dumps(str(core / 'session.js'))};\n{line}\n"
    )
    types = [str(core / "types.d.ts"), str(wrong)]
    extended = {"extends": str(TOOLS / "tsconfig.json"), "files": types, "include": []}
    project.write_text(json.dumps(extended))

    found = checked(project)

    assert found.returncode != 0
    assert "wrong.js(4," in found.stdout
    assert named in found.stdout
