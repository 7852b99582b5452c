"""Build the sdist and the wheel, install and test them: `python -m tests.distribution FOLDER`.

The build runs on a copy: leftovers of earlier builds in the checkout would get into the wheel.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.house.source import PRODUCT, ROOT

LINKED: Final = ("integrations",)
"""Folders that links in the product lead to."""
FILES: Final = ("pyproject.toml", "README.md", "LICENSE")
SMOKE: Final = Path(__file__).with_name("smoke.py")
LOCK: Final = ROOT / "requirements.lock"


@dataclass(frozen=True, slots=True)
class Distributions:
    """Both archives, and what the build printed."""

    sdist: Path
    wheel: Path
    printed: str


def build(folder: Path, scratch: Path) -> Distributions:
    """Build both from a copy of the sources into a folder."""
    source = scratch / "source"
    copy_sources((*PRODUCT, *LINKED, *FILES), source)
    printed = run_build(source, folder, "--sdist", "--wheel")
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Distributions(sdist, wheel, printed)


def copy_sources(names: Iterable[str], into: Path) -> None:
    """Copy these folders and files of the checkout to a new folder."""
    into.mkdir()
    for name in names:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, into / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, into)


def run_build(source: Path, folder: Path, *kinds: str) -> str:
    """Build with the tools of this environment, and return what was printed."""
    options = ["--no-isolation", "--outdir", str(folder), *kinds]
    return _run(sys.executable, "-m", "build", *options, str(source))


def make_environment(folder: Path, provide: Callable[[Path], None]) -> Path:
    """Make a virtual environment, and return its interpreter. `provide` adds the dependencies."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    provide(python)
    return python


def install_locked(python: Path) -> None:
    """Install the dependencies as `make serve` does: from the hashed lock."""
    _pip(python, "install", "--require-hashes", "--requirement", str(LOCK))


def install(python: Path, distribution: Path) -> None:
    """Install a wheel or an sdist, without its dependencies."""
    _pip(python, "install", "--no-index", "--no-deps", "--no-build-isolation", str(distribution))


def try_out(python: Path, project: Path) -> None:
    """Run the smoke test in a new project with its own `api`, `ledger` and `projections`."""
    (project / "projections").mkdir(parents=True)
    for name in ("api.py", "ledger.py", "projections/__init__.py"):
        (project / name).write_text('OWNER = "project"\n', "utf-8")
    shutil.copy(SMOKE, project)
    _run(str(python), "-W", "error", SMOKE.name, folder=project)


def main() -> None:
    """Build into the folder, and test each distribution in an environment from the lock."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        built = build(folder, scratch)
        for distribution in (built.sdist, built.wheel):
            print(f"testing {distribution}", flush=True)
            home = scratch / distribution.suffix[1:]
            python = make_environment(home / "environment", install_locked)
            install(python, distribution)
            _pip(python, "check")
            try_out(python, home / "project")


def _pip(python: Path, *arguments: str) -> None:
    quiet = ("--disable-pip-version-check", "--quiet", "--python", str(python))
    _run(sys.executable, "-m", "pip", *quiet, *arguments)


def _run(*command: str, folder: Path | None = None) -> str:
    """Run a command to its end, and return what it printed. Raises RuntimeError if it fails.

    Its environment has no settings of a developer's server, and no PYTHONPATH to the checkout.
    """
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("ASSET_LEDGER_", "PYTHONPATH"))
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
