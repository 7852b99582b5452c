"""What else an answer depends on, besides its address: caches keep one for each value of that."""

from typing import Final

from multidict import CIMultiDict

VARY: Final = "Vary"


def vary(headers: CIMultiDict[str], on: str) -> None:
    """Name a header of requests in `Vary`, in one line: some caches read no second one."""
    known = headers.get(VARY)
    headers[VARY] = f"{known}, {on}" if known else on
