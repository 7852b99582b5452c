"""Long work shows how far it is: a bar on a terminal's standard error, nothing elsewhere."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


class ProgressBar:
    """Call it with (done, of how many). The bar appears with the first call, ends with `close`."""

    def __init__(self, doing: str, unit: str = "facts") -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit + " {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._doing = doing
        self._task: TaskID | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are behind us."""
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task(self._doing, total=total, rate="")
        speed = self._bar.tasks[self._task].speed
        rate = f"{speed:,.0f}/s" if speed else ""
        self._bar.update(self._task, completed=done, total=total, rate=rate)

    def step(self, doing: str) -> None:
        """Say what is being done; a new step has a speed of its own."""
        if doing != self._doing and self._task is not None:
            self._bar.reset(self._task, description=doing)
        self._doing = doing

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()
