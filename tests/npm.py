"""Programs for tests that npm installs, from a folder with a lock."""

import shutil
import subprocess
from pathlib import Path

import pytest


def installed(packages: Path, target: Path) -> Path:
    """Copy a folder with `package-lock.json`, install what it locks, and return the copy.

    Skips the test where npm cannot do so.
    """
    folder = Path(shutil.copytree(packages, target))
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"{packages.name} was not run: there is no npm or node")
    command = [npm, "ci", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{packages.name} was not run: npm cannot install it: {done.stderr[:200]}")
    return folder
