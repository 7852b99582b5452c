"""An event of a later release, which this release cannot read."""

from dataclasses import dataclass
from typing import ClassVar

from asset_ledger.ledger.domain.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class FromTheFuture(Event):
    """An event with an unknown topic."""

    TOPIC: ClassVar[str] = "asset.dreamt"
