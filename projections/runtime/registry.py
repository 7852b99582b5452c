"""Every installed projection: those of this package, and those of other packages."""

from collections.abc import Sequence
from typing import Final

from asset_ledger.projections.projection import Projection
from asset_ledger.projections.runtime.installed import Installed, installed
from asset_ledger.projections.runtime.store import TableStore
from asset_ledger.projections.tables.assets import Assets
from asset_ledger.projections.tables.catalog import Catalog
from asset_ledger.projections.tables.jobs import Jobs
from asset_ledger.projections.tables.lineage import Lineage
from asset_ledger.projections.tables.search import Search
from asset_ledger.projections.tables.usage import Usage

PROJECTIONS: Final[Sequence[Projection]] = (Jobs(), Assets(), Lineage())
"""Filled by the committer. `Jobs` is first: it reads sizes that `Assets` then changes."""

FOLLOWING: Final[Sequence[Projection]] = (Usage(), Search(), Catalog())
"""Filled in the background, each in a file of its own. No write waits for them."""

TABLES: Final = "tables"
"""The name of the main file among the runners: the tables that the committer fills."""


def usable_projections(store: TableStore) -> Installed:
    """Load the projections of other packages that this store can have."""
    found = other_projections()
    if store.no_packages is None:
        return found
    usable = [each for each in found.projections if each.postgresql]
    unusable = {each.name: store.no_packages for each in found.projections if not each.postgresql}
    return Installed(usable, {**found.broken, **unusable})


def other_projections() -> Installed:
    """Load the projections of other packages."""
    return installed(taken={TABLES, *(each.name for each in (*PROJECTIONS, *FOLLOWING))})
