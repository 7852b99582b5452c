"""A fact of a release that is not out yet."""

from dataclasses import dataclass
from typing import ClassVar

from asset_ledger.ledger.domain.event import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class FromTheFuture(Fact):
    """This release cannot read it."""

    TOPIC: ClassVar[str] = "asset.dreamt"
