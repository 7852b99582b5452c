"""Small programs that run as child processes in the tests of `api/workers/child.py`."""

import os
import sys
import time

from asset_ledger.api.workers.child import exit_with_server, give_way
from asset_ledger.api.workers.confine import confine


def echo() -> None:
    """Write the line read, an argument, a variable, and a text to the descriptor."""
    with os.fdopen(int(sys.argv[2]), "w", encoding="ascii") as passed:
        passed.write("passed")
    line = sys.stdin.readline().strip()
    print(line, sys.argv[3], os.environ["GIVEN"], flush=True)
    print("not shown", file=sys.stderr)


def leave() -> None:
    """Exit once standard input ends."""
    sys.stdin.read()
    sys.exit(3)


def hang() -> None:
    """Report, and run for ever without reading standard input."""
    exit_with_server()
    print("started", flush=True)
    while True:
        time.sleep(60)


def limited() -> None:
    """Report whether an allocation above the limit is refused, and the priority."""
    give_way(nice=7)
    confine(max_memory=1 << 30)
    try:
        bytearray((1 << 30) + (1 << 26))
    except MemoryError:
        print("refused", os.nice(0), flush=True)


if __name__ == "__main__":
    {each.__name__: each for each in (echo, leave, hang, limited)}[sys.argv[1]]()
