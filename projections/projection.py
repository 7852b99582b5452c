"""What a projection is: a name, its tables, how they came to be, and a pure function from a
recorded event to SQL statements.

Statements depend on the event alone (and on rows of the same file, inside their SQL), so the tables
are the same whether they follow the log live or are made again from its beginning.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.projections.migrations import Migration


class Statement(NamedTuple):
    """One change to the tables.

    `independent`: it touches no row that another independent statement of the same batch touches,
    except through the same SQL, so those around it may run grouped by SQL, each group in order.
    """

    sql: str
    parameters: Sequence[Any]
    independent: bool = False


class Projection(Protocol):
    """Tables that are made from events.

    `functions` are SQL functions that its statements call. They MUST answer the same for the same
    arguments, on any machine, or a rebuild would not give the same rows.
    """

    @property
    def name(self) -> str:
        """Under which its position is kept."""

    @property
    def tables(self) -> Sequence[str]:
        """Those whose rows the digest of the projections is over."""

    @property
    def migrations(self) -> Sequence[Migration]:
        """How its tables came to be, oldest first."""

    @property
    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """SQL functions of the write connection, by name."""

    @property
    def settling(self) -> Sequence[str]:
        """SQL that ends every transaction of events, before the position moves: sums of a batch."""

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """What this event changes. Pure: no clock, no database. What it raises refuses the event."""
