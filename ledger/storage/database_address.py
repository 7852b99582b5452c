"""How the address of a database begins. It needs no driver: every command checks it."""

from typing import Final

DATABASES: Final = ("postgresql://", "postgres://")
