"""What the writer fills: the tables of the generation in use, whichever that is.

Promise: between two groups one generation takes over from the other, at the position where that one
stands; whoever is answered after that reads the new one.
"""

import threading
from collections.abc import Callable, Sequence

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.projections.runtime.generation import NEAR, turn
from asset_ledger.projections.runtime.runner import Prepared, Runner


class Live:
    """The one runner that is in use. Any thread may call."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._turn = threading.Lock()
        runner.database.expect_groups()

    def prepare(self, recorded: Sequence[Recorded]) -> Prepared:
        """What these facts will change, in any generation of this release."""
        return self._runner.prepare(recorded)

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> bool:
        """Whether the tables reflect the log up to `last`. Never raises."""
        with self._turn:
            return self._runner.apply(prepared, last, leaf)

    def turn(self) -> bool:
        """Take one batch from the log; whether there may be more."""
        with self._turn:
            return self._runner.turn()

    @property
    def state(self) -> tuple[int, Exception | None]:
        """The last fact that the tables reflect, and what they stall of, if they do."""
        return self._runner.position, self._runner.error

    def lend(self) -> None:
        """Let another process fill the tables, until they are taken back."""
        with self._turn:
            self._runner.lend()

    def learn(self, position: int, error: Exception | None) -> None:
        """The other process has brought them so far, and stalls there if there is an error."""
        self._runner.learn(position, error)

    def take_back(self) -> None:
        """Fill them from here."""
        with self._turn:
            self._runner.take_back()

    def replace(
        self, runner: Runner, commit: Callable[[], None], announce: Callable[[], None]
    ) -> bool:
        """Let another runner take over; False where it is too far behind to do so in a turn.

        `commit` makes it last and `announce` tells the readers, both before the next group is
        answered. Raises what stalls the runner, or what `commit` does: then nothing has changed.
        """
        with self._turn:
            if runner.lag > NEAR:
                return False
            while runner.lag:
                turn(runner)
            runner.database.expect_groups()
            commit()
            self._runner = runner
            announce()
            return True
