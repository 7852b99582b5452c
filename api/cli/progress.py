"""Progress of long work: a bar on standard error if that is a terminal, else nothing."""

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class ProgressBar:
    """A `Progress` that draws a bar from the first call until `close`."""

    def __init__(self, *, in_bytes: bool = False) -> None:
        console = Console(stderr=True)
        counted = (
            (DownloadColumn(), TransferSpeedColumn())
            if in_bytes
            else (MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        )
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *counted,
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            redirect_stdout=sys.stdout.isatty(),  # else what is printed into a pipe is lost
        )
        self._step = ""
        self._task: TaskID | None = None

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show `done` of `total` for a step. Each new step has a rate of its own."""
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task(step, total=total, rate="")
        elif step != self._step:
            self._bar.reset(self._task, description=step)
        self._step = step
        speed = self._bar.tasks[self._task].speed
        rate = f"{speed:,.0f}/s" if speed else ""
        self._bar.update(self._task, completed=done, total=total, rate=rate)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()
