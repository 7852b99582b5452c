"""What an audit finds: where a record is not what it has to be, and how it is not."""

from typing import NamedTuple


class Finding(NamedTuple):
    """Something wrong, in one line: the table (or place), which row of it, and what is wrong."""

    table: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.table} {self.where}: {self.what}"
