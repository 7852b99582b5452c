"""An event of a release that is not out yet."""

from dataclasses import dataclass
from typing import ClassVar

from asset_ledger.ledger.domain.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class FromTheFuture(Event):
    """This release cannot read it."""

    TOPIC: ClassVar[str] = "asset.dreamt"
