"""Where one file of tables is: its position, and the error it stalls at.

The committer's tables report their status to the server; the other projections' runners are their
own status. Both are awaited and shown alike.
"""

from collections.abc import Sequence
from typing import Literal

from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import PoisonEventError
from asset_ledger.ledger.reading.feed import Feed, Skip
from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.positions import Watermark


class Status:
    """The status of the tables of some projections. Any thread may call."""

    def __init__(self, projections: Sequence[Projection], feed: Feed, position: int = 0) -> None:
        self.projections, self.feed = tuple(projections), feed
        self.error: Exception | None = None
        self._skips = frozenset[Skip]()
        self._watermark = Watermark(position)

    @property
    def position(self) -> int:
        """The last event that the tables reflect."""
        return self._watermark.position

    @property
    def lag(self) -> int:
        """How many events the log is ahead."""
        return max(0, self.feed.head() - self.position)

    @property
    def state(self) -> Literal["live", "stalled"]:
        """Whether the tables follow the log."""
        return "stalled" if self.error else "live"

    @property
    def is_awaited(self) -> bool:
        """Whether a caller waits for events that the log has and the tables do not reflect."""
        return self._watermark.is_awaited(self.feed.head())

    async def wait_for(self, position: int, within: float) -> None:
        """Return once the tables reflect a position. Raises ProjectionBehindError after so many s."""
        await self._watermark.reach(position, within)

    def learn(self, position: int, error: Exception | None) -> None:
        """Take over what a report says."""
        self.error = error
        self._watermark.move(position)

    def hand_over(self, successor: "Status") -> None:
        """Let the callers that wait here wait there. Called on their event loop."""
        self._watermark.hand_over(successor._watermark)

    def refusing(self, position: int) -> list[str]:
        """The projections here that stand before an event and cannot take it. Reads the log."""
        if self.position >= position:
            return []
        self._skips = self.feed.skips()
        taking = self.taking(position)
        try:
            events = self.feed.read(position - 1, 1)
        except PoisonEventError:
            return [each.name for each in taking]
        refusing = [each.name for each in taking if not _takes(each, events)]
        stalled = isinstance(self.error, PoisonEventError) and self.error.position == position
        return refusing or ([each.name for each in taking] if stalled else [])

    def taking(self, position: int) -> Sequence[Projection]:
        """The projections that did not set this event aside."""
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
