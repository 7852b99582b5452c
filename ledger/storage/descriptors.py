"""File descriptors of this process: how many it may open, and patience while there are none."""

import errno
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

RESERVED: Final = 256
"""Descriptors for databases, threads, child processes, and connections that wait to be closed."""

_OPEN: Final = next(path for path in (Path("/proc/self/fd"), Path("/dev/fd")) if path.exists())
_SHORTAGE: Final = (errno.EMFILE, errno.ENFILE)
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between the tries of `patiently`: three in all."""

T = TypeVar("T")


def raise_limit() -> None:
    """Raise the soft limit to the hard one: many systems start programs with only 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # macOS has a lower limit than it reports
            return


def limit() -> int:
    """Return how many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def free() -> int:
    """Return how many more descriptors this process may open. Blocks for some microseconds."""
    try:
        return max(0, limit() - sum(1 for _ in _OPEN.iterdir()))
    except OSError as error:  # listing them takes a descriptor, too
        if is_shortage(error):
            return 0
        raise


def is_shortage(error: BaseException) -> bool:
    """Return whether an error says that there are no more descriptors: it passes by itself."""
    return isinstance(error, OSError) and error.errno in _SHORTAGE


def patiently(action: Callable[[], T]) -> T:
    """Return `action()`, which is repeated for three seconds while descriptors lack. Blocks."""
    for pause in _PAUSES:
        try:
            return action()
        except OSError as error:
            if not is_shortage(error):
                raise
        time.sleep(pause)
    return action()
