"""How long work reports how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the name of a step, how much of the step is done, and how much there is to do."""


def no_progress(step: str, done: int, total: int) -> None:
    """Report to nothing."""
