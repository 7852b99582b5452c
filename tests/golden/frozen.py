"""What no release may change, by name: formats, topics, and digests of stored bytes, shapes, tables
and migrations.

`python -m tests.golden.frozen` writes `frozen.json`. From version 0.2.0 on it only adds names.
"""

import asyncio
import hashlib
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from asset_ledger.api.backend import open_backend
from asset_ledger.api.backup import files as backups
from asset_ledger.api.export import bundle
from asset_ledger.api.export import files as exports
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.content import packs
from asset_ledger.ledger.domain import ledger
from asset_ledger.ledger.log.codec import EVENTS
from asset_ledger.ledger.merkle import proof, tree
from tests.golden.examples import FOLDER
from tests.golden.shapes import SHAPES
from tests.house.source import ROOT

FILE: Final = Path(__file__).with_name("frozen.json")
RELEASED: Final = (0, 2, 0)
"""The first version whose stored formats stay."""

FORMATS: Final = {
    "data folder": str(ledger.FORMAT),
    "export": exports.FORMAT,
    "backup": backups.FORMAT,
    "bundle": bundle.FORMAT,
    "proof": proof.FORMAT,
    "leaf": tree.LEAF_PREFIX.decode(),
    "pack record": packs.MAGIC.decode(),
}


def frozen() -> dict[str, str]:
    """Return everything that is frozen, as it is now."""
    found = {f"format of {name}": text for name, text in FORMATS.items()}
    found |= {f"topic of {kind.__name__}": kind.TOPIC for kind in EVENTS}
    for what, folder in (("bytes", FOLDER), ("shape", SHAPES)):
        found |= {f"{what} of {path.name}": digest(path.read_bytes()) for path in folder.iterdir()}
    for path in (ROOT / "projections" / "migrations").glob("2*.py"):
        found[f"migration {path.stem}"] = digest(path.read_bytes())
    return dict(sorted({**found, **tables()}.items()))


def digest(content: bytes) -> str:
    """Return the first half of the SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()[:32]


def tables() -> dict[str, str]:
    """Return the digest of each table, index and trigger of a new log."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_made(Path(folder)))
        with closing(sqlite3.connect(Path(folder) / "ledger.db")) as db:
            rows = db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
            return {
                f"{kind} {name} of the log": digest(" ".join(sql.split()).encode())
                for kind, name, sql in rows
            }


async def _made(folder: Path) -> None:
    async with open_backend(Settings(data_dir=folder)):
        pass


def broken(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return the names that were changed or removed."""
    return sorted(name for name, value in before.items() if now.get(name) != value)


def main(version: tuple[int, ...]) -> int:
    """Write the file. Return the exit code: 1 if a release would be broken."""
    now = frozen()
    before = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    if version >= RELEASED and (changed := broken(before, now)):
        print(f"released, so it stays as it was: {', '.join(changed)}", file=sys.stderr)
        return 1
    FILE.write_text(json.dumps(now, indent=2) + "\n", "utf-8")
    return 0


def version() -> tuple[int, ...]:
    """Return the version in pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    return tuple(map(int, text.split('\nversion = "')[1].split('"')[0].split(".")))


if __name__ == "__main__":
    sys.exit(main(version()))
