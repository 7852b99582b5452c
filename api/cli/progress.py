"""Progress of long work: a bar on standard error if that is a terminal, else nothing."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


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
