"""How the server's own process shares the processor among its threads, and returns memory."""

import ctypes
import sys
from contextlib import suppress
from typing import Final

SWITCH: Final = 0.0005
"""Seconds after which a busy thread lets the event loop run. With two busy threads the loop runs
four times as often as with Python's 5 ms, and they do as much work."""

LARGE: Final = 128 * 1024
"""Bytes of a block of memory that returns to the system as soon as it is free. Else glibc raises
this limit with each large block: freed answers of 4 MiB stayed, twice the memory that is in use."""

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_MOST_ARENAS: Final = -8


def tune() -> None:
    """Tune this process. Sources: `sys.setswitchinterval`, mallopt(3) of glibc."""
    sys.setswitchinterval(SWITCH)
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, 1 << 20)):
            mallopt(option, value)
        mallopt(_MOST_ARENAS, 2)
