"""Where a server spends its time under a load, for the bars that are missed.

The profiler slows Python and not the C library, so shares say more than times. It sees the server's
event loop; the committer is a process of its own.
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from io import StringIO
from pathlib import Path
from pstats import Stats
from typing import Final

from benchmarks.bench import Bench
from benchmarks.crawl import crawl, write_paths
from benchmarks.fill import names
from benchmarks.load import Load, pages, uploads
from benchmarks.servers import product_command, serving

FUNCTIONS: Final = 15
SECONDS: Final = 10
"""Length of a load, so that the start of the server takes a small part."""


def profile(bench: Bench, name: str) -> str:
    """Return the functions that take most of the time under the load of a measure."""
    found = bench.folder / f"{name}.profile"
    folder = bench.folder / "profiled" if name == "uploads" else bench.many()
    command = [sys.executable, "-m", "cProfile", "-o", str(found), *product_command(folder)]
    with serving("profiled", command) as server:
        LOADS[name](bench, server.url)
    return text_of(found)


def text_of(found: Path) -> str:
    """Return the functions with the most time of their own, as lines of text."""
    printed = StringIO()
    Stats(str(found), stream=printed).strip_dirs().sort_stats("tottime").print_stats(FUNCTIONS)
    return printed.getvalue().strip()


def uploading(_: Bench, url: str) -> Load:
    return uploads(url, connections=64, seconds=SECONDS)


def reading(bench: Bench, url: str, *, hot: bool) -> Load:
    """Read pages by node: all of them, or one again and again."""
    found = [page.product for page in crawl(url, "node", names("node", bench.sizes.assets)[:3])]
    paths = write_paths(bench.folder / "profiled.paths", found[:1] if hot else found)
    return pages(url, paths, connections=16, seconds=SECONDS)


LOADS: Final[Mapping[str, Callable[[Bench, str], Load]]] = {
    "uploads": uploading,
    "pages": partial(reading, hot=False),
    "hot": partial(reading, hot=True),
}
"""The loads by the names of their measures."""
