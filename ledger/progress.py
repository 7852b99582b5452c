"""The callback by which long work (rebuild, backfill, verify) reports its progress."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with a step's name, the amount done and the total amount, both in units of the step."""


def no_progress(step: str, done: int, total: int) -> None:
    """Ignore the report."""
