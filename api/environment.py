"""The environment's names of this program, and those that are only nearly one of them.

Promise: a misspelt name is found without a look at its value, which may be a secret.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from asset_ledger.api.settings import Settings

PREFIX: Final = Settings.model_config["env_prefix"]

_OF_CLIENTS: Final = ("URL", "TOKEN")
"""What commands and the Python side read, and the server does not."""

KNOWN: Final = frozenset(
    f"{PREFIX}{name.upper()}" for name in (*Settings.model_fields, *_OF_CLIENTS)
)


def misspelt(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every name with our prefix that nobody reads, and the known one that is nearest to it.

    Empty variables count as absent, and capitals do not matter, as for the settings.
    """
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in KNOWN and environment[name]:
            (nearest,) = get_close_matches(name.upper(), KNOWN, n=1, cutoff=0)
            yield name, nearest
