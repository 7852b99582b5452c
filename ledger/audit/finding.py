"""The result of an audit: where a record is wrong, and how."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One wrong record: the table or file, the row in it, and what is wrong."""

    table: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.table} {self.where}: {self.what}"
