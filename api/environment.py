"""Environment variables of this program, and the check for misspelt ones.

Promise: the value of a variable, which may be a secret, is never shown.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from asset_ledger.api.settings import Settings

PREFIX: Final = Settings.model_config["env_prefix"]

_OTHERS: Final = ("URL", "TOKEN", "CONFIG")
"""Variables that are no settings: for commands, the SDK, and the name of the settings file."""

KNOWN: Final = frozenset(f"{PREFIX}{name.upper()}" for name in (*Settings.model_fields, *_OTHERS))


def misspelt(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each unknown name with our prefix, and the known name that is nearest to it.

    An empty variable counts as absent. Case does not matter, as for the settings.
    """
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in KNOWN and environment[name]:
            (nearest,) = get_close_matches(name.upper(), KNOWN, n=1, cutoff=0)
            yield name, nearest
