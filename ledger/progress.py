"""The callback by which long work (rebuild, backfill, verify) reports its progress."""

import time
from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with a step's name, the amount done and the total amount, both in units of the step."""


def no_progress(step: str, done: int, total: int) -> None:
    """Ignore the report."""


class ThrottledProgress:
    """A `Progress` that passes on each new step, and one report each `every` seconds in between."""

    def __init__(self, report: Progress, every: float) -> None:
        self._report, self._every = report, every
        self._step, self._reported_at = "", 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        """Pass the report on, unless one of this step was passed on just now."""
        now = time.monotonic()
        if step != self._step or now - self._reported_at > self._every:
            self._step, self._reported_at = step, now
            self._report(step, done, total)
