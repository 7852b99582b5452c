"""Cost of the Merkle tree: uploads with and without it, and a proof against a point read.

Promise: both sides of a ratio are measured in turns, so that a slow phase of the machine hits both.
"""

import sqlite3
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.fill import fill
from benchmarks.load import pages, uploads
from benchmarks.machine import disk, machine
from benchmarks.servers import Server, product_command, serving
from benchmarks.turns import CELLS, Turns, cells

TREE, TREELESS = "with the tree", "without"
CONNECTIONS: Final = (16, 64)
UPLOAD_BAR: Final = 0.9

READ, PROOF = "asset", "its proof"
PROOF_BAR: Final = 0.1

_IDS: Final = """SELECT originator_id FROM stored_events
    WHERE rowid % ? = 2 AND state ->> '$.user_id' = '1' LIMIT 5000"""


THREAD: Final = ("--committer", "thread")
"""`treeless` commits in a thread, because its patches hold in one process. So does the product."""


def measure_uploads(folder: Path, rounds: int, seconds: int) -> Turns:
    """Upload to a server with the tree and to one without it, in turns."""
    turns = Turns()
    treeless = [sys.executable, "-m", "benchmarks.treeless", str(folder / "treeless")]
    with (
        serving(TREE, product_command(folder / "tree", *THREAD)) as tree,
        serving(TREELESS, treeless) as bare,
    ):
        for server in (tree, bare):
            uploads(server.url, connections=16, seconds=1)
        for _ in range(rounds):
            for connections in CONNECTIONS:
                load = partial(uploads, connections=connections, seconds=seconds)
                turns.take(tree, str(connections), load)
                turns.take(bare, str(connections), load)
    return turns


def measure_proofs(data_dir: Path, rounds: int, seconds: int) -> Turns:
    """Read assets and their proofs from one server, in turns."""
    turns, found = Turns(), ids(data_dir)
    paths = {
        READ: write(data_dir / "read.paths", [f"/api/assets/{asset_id}" for asset_id in found]),
        PROOF: write(
            data_dir / "proof.paths", [f"/api/assets/{asset_id}/proof" for asset_id in found]
        ),
    }
    with serving("product", product_command(data_dir)) as server:
        for _ in range(rounds):
            for name, file in paths.items():
                named = Server(name, server.url, server.pid)
                turns.take(named, name, partial(pages, paths=file, connections=1, seconds=seconds))
    return turns


def ids(data_dir: Path) -> list[str]:
    """Return assets from all parts of the log, in a random order."""
    db = sqlite3.connect(data_dir / "ledger.db")
    (events,) = db.execute("SELECT max(rowid) FROM stored_events").fetchone()
    found = [row[0] for row in db.execute(_IDS, (max(3, events // 4_001),))]
    db.close()
    return sorted(found, key=lambda asset_id: str(asset_id)[::-1])


def write(file: Path, paths: list[str]) -> Path:
    file.write_text("".join(f"{path}\n" for path in paths))
    return file


def upload_table(turns: Turns) -> Table:
    grid = Table("connections", "", *CELLS, "ratio", "bar", title="Durable uploads of 4 KiB")
    for connections in map(str, CONNECTIONS):
        ratio = str(turns.ratio(TREE, TREELESS, connections))
        grid.add_row(connections, TREELESS, *cells(turns.of(TREELESS, connections)))
        grid.add_row("", TREE, *cells(turns.of(TREE, connections)), ratio, str(UPLOAD_BAR))
    return grid


def proof_table(turns: Turns, assets: int) -> Table:
    title = f"One of {assets:,} assets, over one connection"
    grid = Table("read", *CELLS, "ratio", "bar", title=title)
    proofs, reads = turns.of(PROOF, PROOF), turns.of(READ, READ)
    ratios = [a.load.rate / b.load.rate for a, b in zip(proofs, reads, strict=True)]
    grid.add_row(READ, *cells(reads))
    shown = f"{sorted(ratios)[len(ratios) // 2]:.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    grid.add_row(PROOF, *cells(proofs), shown, str(PROOF_BAR))
    return grid


@click.command()
@click.option("--assets", type=click.IntRange(1_000), default=1_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, help="Turns of each.")
@click.option("--seconds", type=click.IntRange(1), default=3, help="Length of a turn.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Keep the data here.")
def main(assets: int, rounds: int, seconds: int, folder: Path | None) -> None:
    """Upload with the tree and without, read and prove, in turns, and print the ratios."""
    console = Console(width=100)
    with (
        tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-", dir=folder) as temporary,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        about = {**machine(), **disk(Path(temporary))}
        console.print(upload_table(measure_uploads(Path(temporary), rounds, seconds)))
        data_dir = (folder or Path(temporary)) / f"ledger-{assets}"
        if not data_dir.exists():
            fill(data_dir, assets, progress)
        console.print(proof_table(measure_proofs(data_dir, rounds, seconds), assets))
    click.echo(" · ".join(f"{name} {value}" for name, value in about.items()))


if __name__ == "__main__":
    main()
