"""The edges that events write."""

from asset_ledger.projections.tables.lineage import Lineage
from tests.builders import asset_id, created, recorded


def test_an_asset_that_was_made_from_none_writes_nothing_here() -> None:
    (event,) = recorded(created(originator_id=asset_id(1)))

    assert list(Lineage().statements(event)) == []
