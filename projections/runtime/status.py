"""The status of one file of tables: its position, its lag, and the error that stalls it.

The committer reports the status of the main file to the server. The runners of all other files are
subclasses of `Status`.
"""

from collections.abc import Sequence
from typing import Literal

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import PoisonEventError
from asset_ledger.ledger.reading.feed import Feed, Skip
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.positions import Watermark


class Status:
    """The status of the tables that some projections fill. Any thread may call."""

    def __init__(self, projections: Sequence[Projection], feed: Feed, position: int = 0) -> None:
        self.projections, self.feed = tuple(projections), feed
        self.error: Exception | None = None
        self._skips = frozenset[Skip]()
        self._watermark = Watermark(position)

    @property
    def position(self) -> int:
        """The position of the last event that the tables reflect."""
        return self._watermark.position

    @property
    def lag(self) -> int:
        """How many events the log is ahead."""
        return max(0, self.feed.head() - self.position)

    @property
    def state(self) -> Literal["live", "stalled"]:
        """`stalled` if an error keeps the tables from following the log, else `live`."""
        return "stalled" if self.error else "live"

    @property
    def is_awaited(self) -> bool:
        """Whether a caller waits for an event that is in the log and not in the tables yet."""
        return self._watermark.is_awaited(self.feed.head())

    async def wait_for(self, position: int, within: float) -> None:
        """Return once they reflect a position. Raises ProjectionBehindError after `within` s."""
        await self._watermark.reach(position, within)

    def update(self, position: int, error: Exception | None) -> None:
        """Set the position and the error."""
        self.error = error
        self._watermark.move(position)

    def hand_over(self, successor: "Status") -> None:
        """Move all waiting callers to another status. Called on their event loop."""
        self._watermark.hand_over(successor._watermark)

    def refusing(self, position: int) -> list[str]:
        """Return the projections that stop before this event because they cannot take it."""
        if self.position >= position:
            return []
        self._skips = self.feed.skips()
        taking = self.projections_taking(position)
        try:
            events = self.feed.read(position - 1, 1)
        except PoisonEventError:
            return [each.name for each in taking]
        refusing = [each.name for each in taking if not _takes(each, events)]
        stalled = isinstance(self.error, PoisonEventError) and self.error.position == position
        return refusing or ([each.name for each in taking] if stalled else [])

    def projections_taking(self, position: int) -> Sequence[Projection]:
        """Return the projections that do not skip this event."""
        if not self._skips:
            return self.projections
        return [each for each in self.projections if (each.name, position) not in self._skips]


def _takes(projection: Projection, events: Sequence[Recorded]) -> bool:
    try:
        for event in events:
            list(projection.statements(event))
    except Exception:
        return False
    return True
