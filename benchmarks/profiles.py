"""Where the product spends its time, for the bars that are missed.

The profiler slows Python and not the C library, so shares say more than times. Of a server it sees
the event loop; the committer is a process of its own.
"""

import sys
from collections.abc import Callable, Mapping
from cProfile import Profile
from functools import partial
from io import StringIO
from pathlib import Path
from pstats import Stats
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import large
from benchmarks.bench import Bench
from benchmarks.crawl import crawl, write_paths
from benchmarks.fill import names
from benchmarks.load import mixed, pages, uploads
from benchmarks.making import generation
from benchmarks.servers import Server, product_command, serving

FUNCTIONS: Final = 15
SECONDS: Final = 10
"""Length of a load, so that the start of the server takes a small part."""
LARGE_MIB: Final = 256

Load = Callable[[Bench, Server], object]


def profile(bench: Bench, name: str) -> str:
    """Return the functions that take most of the time of a measure, as lines of text."""
    found = bench.folder / f"{name}.profile"
    if name == REBUILD:
        rebuilding(bench, found)
    else:
        served(bench, name, found)
    printed = StringIO()
    Stats(str(found), stream=printed).strip_dirs().sort_stats("tottime").print_stats(FUNCTIONS)
    return printed.getvalue().strip()


def served(bench: Bench, name: str, found: Path) -> None:
    """Profile a server under the load of a measure, from its start to its end."""
    folder = bench.folder / "profiled" if name in OF_AN_EMPTY_LEDGER else bench.many()
    command = [sys.executable, "-m", "cProfile", "-o", str(found), *product_command(folder)]
    with serving("profiled", command) as server:
        LOADS[name](bench, server)


def rebuilding(bench: Bench, found: Path) -> None:
    """Profile a rebuild of few assets."""
    with TemporaryDirectory(dir=bench.folder) as folder:
        make, profiler = (
            generation(bench.log_of(bench.sizes.few) / "ledger.db", Path(folder)),
            Profile(),
        )
        profiler.runcall(make)
        profiler.dump_stats(found)


def uploading(_: Bench, server: Server) -> None:
    uploads(server.url, connections=64, seconds=SECONDS)


def sending(bench: Bench, server: Server) -> None:
    """Upload a large file once, and download it three times."""
    file = large.made(bench.folder / "profiled.file", LARGE_MIB)
    large.upload(server, file)
    for _ in range(3):
        large.download(server, large.newest(server), LARGE_MIB * large.MIB)


def reading(bench: Bench, server: Server, *, hot: bool) -> None:
    """Read pages by node: all of them, or one again and again."""
    paths = of_nodes(bench, server, first_only=hot)
    pages(server.url, paths, connections=16, seconds=SECONDS)


def mixing(bench: Bench, server: Server) -> None:
    """Read pages by node beside uploads."""
    mixed(server.url, of_nodes(bench, server), connections=16, seconds=SECONDS)


def starting(_: Bench, server: Server) -> None:
    """Send nothing."""


def of_nodes(bench: Bench, server: Server, *, first_only: bool = False) -> Path:
    """Return a file with the paths of pages by node."""
    found = crawl(server.url, "node", names("node", bench.sizes.assets)[:3])
    listed = [page.product for page in found]
    return write_paths(bench.folder / "profiled.paths", listed[:1] if first_only else listed)


REBUILD: Final = "rebuild"
LOADS: Final[Mapping[str, Load]] = {
    "uploads": uploading,
    "large": sending,
    "pages": partial(reading, hot=False),
    "hot": partial(reading, hot=True),
    "mixed": mixing,
    "standing": starting,
}
"""The loads by the names of their measures."""
OF_AN_EMPTY_LEDGER: Final = {"uploads", "large"}
