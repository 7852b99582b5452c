"""How the server's own process shares the processor among its threads, and returns memory."""

import ctypes
import gc
import sys
from contextlib import suppress
from typing import Final

from asset_ledger.api.workers.child import NEW_OBJECTS

SWITCH: Final = 0.0005
"""Seconds after which a busy thread lets the event loop run. With two busy threads the loop runs
four times as often as with Python's 5 ms, and they do as much work."""

LARGE: Final = 2 * 2**20
"""Bytes of a block of memory that returns to the system as soon as it is free. Else glibc raises
this limit with each large block: freed answers of 4 MiB stayed, twice the memory that is in use.
Smaller blocks do not: with 128 KiB, bodies and answers took three times as long."""
TRIM: Final = 4 * LARGE
"""Bytes of free memory at the end of the heap that return to the system."""

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_MOST_ARENAS: Final = -8


def tune() -> None:
    """Tune this process. Sources: `sys.setswitchinterval`, mallopt(3) of glibc.

    Garbage is collected as rarely as after `freeze_heap`: what a start loads stays.
    """
    gc.set_threshold(NEW_OBJECTS)
    sys.setswitchinterval(SWITCH)
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        options = ((_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, TRIM), (_MOST_ARENAS, 1))
        for option, value in options:
            mallopt(option, value)
