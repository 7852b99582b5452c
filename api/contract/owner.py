"""The header by which an admin asks for somebody else: its name, and how a user id travels in it.

Promise: every user id arrives as it was, whatever its characters: a header by itself loses spaces
at its ends, and a browser refuses letters beyond Latin-1.
"""

from typing import Final
from urllib.parse import quote, unquote

OWNER: Final = "Asset-Ledger-User"


def spelled(user_id: str) -> str:
    """The user id, percent-encoded. What is no UTF-8 is spelled too: the ledger refuses it."""
    return quote(user_id, safe="", errors="surrogatepass")


def read(value: str) -> str:
    """The user id in a header. What is no UTF-8 has surrogates, which no user id has."""
    return unquote(value, errors="surrogateescape")
