"""The tables of assets and jobs that the committer fills, and the switch to another generation.

Promise: one generation takes over from the other between two groups, at the head of the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asset_ledger.ledger.commit.requests import TablesState
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.projections.runtime.generation import NEAR, open_tables, turn
from asset_ledger.projections.runtime.runner import Prepared, Runner


@dataclass(frozen=True, slots=True)
class _Next:
    """The generation that is to take over. `retire`: a rollback retires the present one."""

    runner: Runner
    retire: bool


class LiveTables:
    """The generation in use, for the one thread that commits. See `group_commit.Tables`."""

    def __init__(self, folder: Path, runner: Runner) -> None:
        self._folder, self._runner = folder, runner
        self._next: _Next | None = None
        runner.database.expect_groups()

    @property
    def state(self) -> TablesState:
        """Generation, position and error of the tables in use."""
        runner = self._runner
        return TablesState(runner.database.number, runner.position, runner.error)

    @property
    def is_working(self) -> bool:
        """Whether a switch is under way."""
        return self._next is not None

    def prepare(self, recorded: Sequence[Recorded]) -> Prepared:
        """What these events change, in any generation of this release. Raises PoisonEventError."""
        return self._runner.prepare(recorded)

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> None:
        """Bring the tables to position `last`. Never raises."""
        self._runner.apply(prepared, last, leaf)

    def begin_switch(self, generation: int, *, retire: bool) -> None:
        """Open another generation of this log. Raises DataFolderError if it cannot be used."""
        self._next = _Next(open_tables(self._folder, generation, self._runner.feed), retire)

    def turn(self) -> Exception | int | None:
        """Take one batch from the log: of the switch, if one is under way, else of what lags.

        The generation that took over, or the error that keeps it from that: the switch is over.
        """
        if self._next is None:
            self._runner.turn()
            return None
        try:
            return self._approach(self._next)
        except Exception as error:
            self._next.runner.close()
            self._next = None
            return error

    def close(self) -> None:
        """Close the files."""
        self._runner.close()
        if self._next is not None:
            self._next.runner.close()

    def _approach(self, following: _Next) -> int | None:
        """Take a batch; take over once the rest is no more than a group has."""
        if following.runner.lag > NEAR:
            turn(following.runner)
            return None
        while following.runner.lag:
            turn(following.runner)
        following.runner.database.expect_groups()
        if following.retire:
            self._runner.database.declare("retired")
        else:
            following.runner.database.declare("ready")
        self._runner.close()
        self._runner, self._next = following.runner, None
        return self._runner.database.number
