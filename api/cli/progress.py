"""Progress of long work: a bar on standard error if that is a terminal, else nothing.

A server without a terminal logs lines.
"""

import logging
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOGGED_EVERY: Final = 10.0
"""Seconds between two lines of a log."""

logger = logging.getLogger(__name__)


class ProgressBar:
    """A `Progress` that draws a bar from the first call until `close`."""

    def __init__(self, *, in_bytes: bool = False) -> None:
        self._in_bytes, self._can_be_seen = in_bytes, sys.stderr.isatty()
        self._step = ""
        self._shown: tuple[Progress, TaskID] | None = None

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show `done` of `total` for a step. Each new step has a rate of its own."""
        if not self._can_be_seen:
            return
        if self._shown is None:
            bar = _started(in_bytes=self._in_bytes)
            self._shown = bar, bar.add_task(step, total=total, rate="")
        bar, task = self._shown
        if self._step not in ("", step):
            bar.reset(task, description=step)
        self._step = step
        speed = bar.tasks[task].speed
        rate = f"{speed:,.0f}/s" if speed else ""
        bar.update(task, completed=done, total=total, rate=rate)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._shown is not None:
            self._shown[0].stop()


class LoggedProgress:
    """A `Progress` that logs a line every ten seconds, and each step after the first line."""

    def __init__(self, every: float = LOGGED_EVERY) -> None:
        """`every`: seconds until the first line, and between lines."""
        self._every, self._step = every, ""
        self._next = time.monotonic() + every

    def __call__(self, step: str, done: int, total: int) -> None:
        """Log `done` of `total` for a step, if it is time."""
        now = time.monotonic()
        if now < self._next and self._step in ("", step):
            return
        logger.info("%s: %s of %s", step, f"{done:,}", f"{total:,}")
        self._step, self._next = step, now + self._every

    def close(self) -> None:
        """Log nothing: the work has ended."""


def progress_of_a_start() -> ProgressBar | LoggedProgress:
    """Return a bar for a terminal, else lines in the log."""
    return ProgressBar() if sys.stderr.isatty() else LoggedProgress()


def _started(*, in_bytes: bool) -> "Progress":
    """Return a bar that is shown. A start without one loads no modules for it."""
    from rich import progress
    from rich.console import Console

    counted = (
        (progress.DownloadColumn(), progress.TransferSpeedColumn())
        if in_bytes
        else (progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[rate]}"))
    )
    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        *counted,
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # else what is printed into a pipe is lost
    )
    bar.start()
    return bar
