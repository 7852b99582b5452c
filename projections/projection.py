"""The interface of a projection: name, tables, migrations, and a function from event to SQL.

Statements depend on the event alone, and on rows of the same file inside their SQL. So following
the log live and rebuilding from its start give the same tables.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.projections.migrations import Migration

Merge = Callable[[Sequence[Sequence[Any]]], Sequence[Sequence[Any]]]
"""Returns the parameters of fewer statements, which together change the same."""


class Statement(NamedTuple):
    """One change to the tables.

    `independent`: no other independent statement of the batch touches the same rows, except one
    with the same SQL. Neighbouring independent statements are grouped by SQL and run in that order.
    `merge`: applied to the parameters of such a group before it runs.
    """

    sql: str
    parameters: Sequence[Any]
    independent: bool = False
    merge: Merge | None = None


class Projection(Protocol):
    """Fills tables from events."""

    @property
    def name(self) -> str:
        """The key of its row in the table `positions`."""

    @property
    def tables(self) -> Sequence[str]:
        """The tables that the digest covers."""

    @property
    def migrations(self) -> Sequence[Migration]:
        """The changes that make its tables, oldest first."""

    @property
    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """SQL functions that its statements call, by name.

        They MUST return the same for the same arguments on every machine, or rebuilds would differ.
        """

    @property
    def settling(self) -> Sequence[str]:
        """SQL to run at the end of each transaction, before the position moves: sums of a batch."""

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """Return the changes of an event. Pure: no clock, no database. Raising stalls it."""
