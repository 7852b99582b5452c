"""Install packages with projections into a folder that Python imports from."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.house.source import ROOT

ENTRY = "[asset_ledger.projections]\n{name} = {module}:{object}\n"

PROJECTION = '''
from asset_ledger.projections.migrations import Migration
from asset_ledger.projections.projection import Statement


def create(db):
    db.execute("CREATE TABLE seen (position INTEGER PRIMARY KEY)")


class Seen:
    """Stores the position of every event."""

    name = "seen"
    migrations = (Migration("20260101_000000_create_seen", create, needs_events=True),)

    def statements(self, recorded):
        yield Statement("INSERT INTO seen VALUES (?)", (recorded.position,))
'''


def install_example(site: Path, scratch: Path) -> None:
    """Install `examples/leaderboard` with pip, without a package index."""
    copy = shutil.copytree(ROOT / "examples" / "leaderboard", scratch / "leaderboard")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    options = ["--disable-pip-version-check", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *options, str(copy)], check=True, capture_output=True)


def plant(
    site: Path,
    code: str = PROJECTION,
    *,
    name: str = "seen",
    object: str = "Seen",
    package: str = "seen",
) -> None:
    """Write the files of an installed package: its module and its metadata."""
    about = site / f"{package}-1.0.dist-info"
    about.mkdir(parents=True)
    (site / f"{package}_module.py").write_text(code, "utf-8")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    entry = ENTRY.format(name=name, module=f"{package}_module", object=object)
    (about / "entry_points.txt").write_text(entry, "utf-8")


@contextmanager
def importable(site: Path) -> Iterator[None]:
    """Make a folder importable within the context; forget its modules afterwards."""
    sys.path.insert(0, str(site))
    try:
        yield
    finally:
        sys.path.remove(str(site))
        for path in site.glob("*.py"):
            sys.modules.pop(path.stem, None)
