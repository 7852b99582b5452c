"""Which facts were set aside for which projections, as the log says it: wherever it says so."""

from asset_ledger.ledger.domain.ledger import ProjectionSkipped
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader

Skipped = frozenset[tuple[str, int]]
"""Names of projections, each with a position that it goes on without."""


def read_skips(log: LogReader, codec: Codec, log_id: str) -> Skipped:
    """Everything that was ever set aside, read from the stream that is the log's own."""
    facts = (
        codec.decode(stored).event
        for stored in log.stream(log_id)
        if stored.topic == ProjectionSkipped.TOPIC
    )
    return frozenset((f.projection, f.position) for f in facts if isinstance(f, ProjectionSkipped))
