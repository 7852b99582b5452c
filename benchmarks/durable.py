"""A PostgreSQL that waits for its disk, and what one run measures on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.postgres import Postgres, installed

DURABLE: Final = "-c fsync=on -c shared_buffers=512MB -c max_wal_size=4GB"


class Scale(NamedTuple):
    """One run. `scratch` is a folder on the disk of the server.

    `sizes`: of the ledgers, in assets. `events` are those of a turn of group commits, `seconds` is
    the length of a turn of reads.
    """

    server: Postgres
    scratch: Path
    sizes: Sequence[int]
    rounds: int
    events: int
    seconds: int


@contextmanager
def durable(folder: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL that waits for its disk."""
    folder.chmod(0o755)
    place = folder / "postgres"
    place.mkdir()
    server = Postgres(place, installed())
    server.start(DURABLE)
    try:
        yield server
    finally:
        server.stop()
