"""Serve a ledger that workflows filled: hundreds of pictures, sounds, texts, tables, 3D models.

    python -m examples.demo        # or `make demo`; Ctrl-C ends it

Promise: everything is drawn here from a seed, nothing is downloaded, and the data folder is
temporary: it is removed at the end.
"""

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from asset_ledger import connect
from asset_ledger.errors import LedgerError
from examples.demo.history import record, watched

NEWS_EVERY = 2.5
"""Seconds between two frames of the job that runs while it is watched."""


def main() -> int:
    """Record the ledger, serve it until Ctrl-C, and return the exit code of the server."""
    options = read_options()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores SIGINT
        signal.signal(number, interrupt)
    with tempfile.TemporaryDirectory(prefix="asset-ledger-demo-") as folder:
        data_dir, start = Path(folder) / "data", time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):
            print("painting a ledger, in less than a minute ...", flush=True)
            asyncio.run(record(data_dir, options.scale))
            print(f"painted in {time.monotonic() - start:.0f} s", flush=True)
            return serve(data_dir, options)
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description="Serve a ledger to look at.")
    parser.add_argument("--port", type=int, default=7777, help="port to listen on; 0: any")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the frames to paint")
    parser.add_argument("--quiet", action="store_true", help="run no job while it is watched")
    return parser.parse_args()


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def serve(data_dir: Path, options: argparse.Namespace) -> int:
    """Run the server as a process, and a job beside it; end both at Ctrl-C."""
    program = Path(sys.executable).with_name("asset-ledger")
    command = [str(program), "serve", "--port", str(options.port), "--data-dir", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1:]
            if url and not options.quiet:
                print(f"open {url[0]} in a browser; Ctrl-C ends it", flush=True)
                asyncio.run(watch(url[0]))
            elif url:
                print(f"open {url[0]} in a browser; Ctrl-C ends it", flush=True)
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            server.wait()
            return 0


async def watch(url: str) -> None:
    """Run a job over HTTP, slowly, so that the console has news to show."""
    with contextlib.suppress(LedgerError):  # the server ended
        async with connect(url=url) as gateway:
            await watched(gateway, NEWS_EVERY)


if __name__ == "__main__":
    sys.exit(main())
