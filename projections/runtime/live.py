"""The tables of assets and jobs as the committer fills them, and the switch to another generation.

A generation takes over between two group commits, at the head of the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from asset_ledger.ledger.commit.requests import TablesState
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import GenerationError
from asset_ledger.projections.runtime.generation import NEAR, open_tables, turn
from asset_ledger.projections.runtime.migrate import is_newer
from asset_ledger.projections.runtime.runner import Prepared, Runner
from asset_ledger.projections.runtime.store import TableStore, changed_meanwhile


@dataclass(frozen=True, slots=True)
class _Switch:
    """The generation that is to take over from the generation `before`.

    `retire`: mark that one retired (a rollback).
    """

    before: int
    runner: Runner
    retire: bool


class LiveTables:
    """The generation in use, for the thread that commits. Implements `group_commit.Tables`."""

    def __init__(self, store: TableStore, runner: Runner) -> None:
        self._store, self._runner = store, runner
        self._switch: _Switch | None = None
        runner.database.expect_groups()

    @property
    def state(self) -> TablesState:
        """Generation, position and error of the tables."""
        runner = self._runner
        return TablesState(runner.database.number, runner.position, runner.error)

    @property
    def is_working(self) -> bool:
        """Whether a switch is under way."""
        return self._switch is not None

    def prepare(self, recorded: Sequence[Recorded]) -> Prepared:
        """Return the changes of events, for any generation. Raises PoisonEventError."""
        return self._runner.prepare(recorded)

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> None:
        """Bring the tables to position `last`. Never raises: a failure stalls them."""
        self._runner.apply(prepared, last, leaf)

    def doubt(self) -> None:
        """Note that the last rows may have been rolled back: the position is read again."""
        self._runner.doubt()

    def begin_switch(self, before: int, generation: int, *, retire: bool) -> None:
        """Open the generation that is to take over from `before`, which `turn` brings to the head.

        Raises DataFolderError if it cannot be used, GenerationError for a rebuild if a later
        release fills the tables: its servers could not use those of this one.
        """
        if not retire and self._store.is_shared and is_newer(self._runner.database):
            raise GenerationError("a later release fills the tables: rebuild at a server of it")
        runner = open_tables(self._store, generation, self._runner.feed)
        self._switch = _Switch(before, runner, retire)

    def adopt(self, generation: int) -> None:
        """Fill a generation that another server has put in use. Raises DataFolderError.

        A switch of this server ends with GenerationError at its next turn.
        """
        runner = open_tables(self._store, generation, self._runner.feed)
        self._runner.close()
        self._runner = runner
        self._runner.database.expect_groups()

    def turn(self) -> Exception | int | None:
        """Take one batch from the log, into the generation that is to take over if there is one.

        Return the number of the generation that took over, or the error that ended the switch;
        None if the switch goes on, or if there is none.
        """
        if self._switch is None:
            self._runner.turn()
            return None
        try:
            return self._approach(self._switch)
        except Exception as error:
            self._switch.runner.close()
            self._switch = None
            return error

    def close(self) -> None:
        """Close the files."""
        self._runner.close()
        if self._switch is not None:
            self._switch.runner.close()

    def _approach(self, switch: _Switch) -> int | None:
        """Take a batch, and take over if no more than `NEAR` events are left.

        Raises GenerationError if the generation in use is not the one to take over from.
        """
        before, after = self._runner.database, switch.runner.database
        if before.number != switch.before:
            raise changed_meanwhile(before.number)
        if switch.runner.lag > NEAR:
            turn(switch.runner)
            return None
        while switch.runner.lag:
            turn(switch.runner)
        self._store.take_over(before, after, retire=switch.retire)
        self._runner.close()
        self._runner, self._switch = switch.runner, None
        after.expect_groups()
        return after.number
