"""The edges that events write."""

from asset_ledger.projections.tables.lineage import Lineage
from tests.builders import asset_id, created, recorded


def test_asset_without_sources_writes_no_edge() -> None:
    (event,) = recorded(created(originator_id=asset_id(1)))

    assert list(Lineage().statements(event)) == []
