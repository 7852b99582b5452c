"""Every projection that is installed: ours, and those of other packages."""

from collections.abc import Sequence
from typing import Final

from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.installed import Installed, installed
from asset_ledger.projections.tables.assets import Assets
from asset_ledger.projections.tables.catalog import Catalog
from asset_ledger.projections.tables.jobs import Jobs
from asset_ledger.projections.tables.lineage import Lineage
from asset_ledger.projections.tables.search import Search
from asset_ledger.projections.tables.usage import Usage

PROJECTIONS: Final[Sequence[Projection]] = (Jobs(), Assets(), Lineage())
"""Jobs first: what an event takes from a job's bytes is still in `assets` then."""

FOLLOWING: Final[Sequence[Projection]] = (Usage(), Search(), Catalog())
"""Those that no write waits for: each in a file of its own, at a position of its own."""

TABLES: Final = "tables"
"""What the runner that the writer fills is called among the runners: assets and jobs."""


def others() -> Installed:
    """The projections that are not ours, and those that cannot be used."""
    return installed(taken={TABLES, *(each.name for each in (*PROJECTIONS, *FOLLOWING))})
