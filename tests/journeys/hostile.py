"""The hostile minute: a read-only token and a client without one attack a server, while two honest
users use it.

The attackers run at the lowest priority, in a session of their own (sched(7), autogroup): they use
what processor time is left, as if on other machines, so that the honest users measure the server.

`python -m tests.journeys.hostile [SECONDS]` prints how the honest users fared, and the memory.
"""

import io
import json
import multiprocessing
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import quantiles
from typing import Final, NamedTuple

from PIL import Image

from tests.journeys.attacks import attack_with_token, attack_without_token
from tests.journeys.client import BROKEN, Client, raw_connection, talking
from tests.journeys.processes import children_of, command_of
from tests.journeys.server import Server, run, serving

DESCRIPTORS: Final = 1_024
HONEST: Final = ("alice", "bob")
METADATA: Final = {"text": "a" * 31_000}
ASSETS: Final = 200
"""Assets of the hostile user in each of two jobs, with 31 KB of metadata each."""
PICTURES: Final = 20
ALL: Final = "all"
LOWEST: Final = 19
"""The lowest priority (nice(1))."""


class Call(NamedTuple):
    """A request of an honest user: what it was, its status (0: no answer), and its seconds."""

    name: str
    status: int
    seconds: float


@dataclass
class Outcome:
    """What a hostile minute showed: the calls of the honest users without and beside the attacks,
    the memory of server and children in bytes at its peak, and the seconds until the streams of a
    revoked token had ended."""

    quiet: list[Call]
    beside: list[Call]
    attacks: Counter[str]
    memory: dict[str, int]
    revoked_after: float

    @property
    def peak(self) -> int:
        """The peak of the memory of server and children in bytes."""
        return sum(self.memory.values())

    @property
    def failed(self) -> list[Call]:
        """The requests of honest users that did not succeed."""
        return [call for call in (*self.quiet, *self.beside) if not 200 <= call.status < 300]

    def report(self) -> str:
        """Return the figures as text."""
        lines = [
            f"peak memory: {self.peak / 2**20:.0f} MiB {self.memory}",
            f"streams of a revoked token ended after {self.revoked_after:.1f} s",
            f"{len(self.beside)} honest requests beside attacks, failed: {self.failed[:5]}",
            f"attacks: {dict(sorted(self.attacks.items()))}",
        ]
        lines += [self._times(name) for name in (*sorted({each.name for each in self.quiet}), ALL)]
        return "\n".join(lines)

    def _times(self, name: str) -> str:
        """Return how long a call took: its median and its 99th percentile, in milliseconds."""
        quiet, beside = (percentiles(name, calls) for calls in (self.quiet, self.beside))
        median = f"p50 {quiet[49]:.1f} quiet, {beside[49]:.1f} beside"
        last = f"p99 {quiet[98]:.1f} quiet, {beside[98]:.1f} beside"
        return f"{name}: {median}; {last}: {beside[98] / quiet[98]:.1f} times"


def percentiles(name: str, calls: list[Call]) -> list[float]:
    """Return the 1st to the 99th percentile of the milliseconds of a call, or of `ALL` calls."""
    taken = [call.seconds * 1e3 for call in calls if name in (call.name, ALL)]
    return quantiles(taken, n=100, method="inclusive")


@contextmanager
def attackable(folder: Path) -> Iterator[Server]:
    """Serve a folder with tokens, and with few file descriptors."""
    limited = ("bash", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "serve")
    with serving(folder, "--auth", "tokens", before=limited) as server:
        yield server


def hostile_minute(server: Server, seconds: float) -> Outcome:
    """Measure two honest users for a third of the time alone, then beside the hostile ones."""
    admin = Admin(server)
    tokens = {user: admin.token(user, "read", "write")["token"] for user in (*HONEST, "eve")}
    large = fill(server.port, tokens["eve"])
    reader, revoked = (admin.token("eve", "read", "audit") for _ in range(2))
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(2, spawn) as users,
        ProcessPoolExecutor(2, spawn, initializer=take_lowest_priority) as attackers,
        Memory(server.pid) as memory,
    ):

        def honest(duration: float) -> list[Future[list[Call]]]:
            return [users.submit(live, server.port, tokens[user], duration) for user in HONEST]

        for pool in (users, attackers):  # start all four: that takes a second of both cores
            list(pool.map(time.sleep, [0.5] * 2))
        quiet = _calls(honest(seconds / 3))
        attacks = [
            attackers.submit(attack_with_token, server.port, reader["token"], large, seconds),
            attackers.submit(attack_without_token, server.port, seconds),
        ]
        beside = honest(seconds)
        revoked_after = revoke_beside_streams(server.port, admin, revoked)
        steps = sum((attack.result() for attack in attacks), Counter[str]())
        return Outcome(quiet, _calls(beside), steps, memory.parts, revoked_after)


def take_lowest_priority() -> None:
    """Use only the processor time that is left, within the session and among sessions."""
    os.setsid()
    os.nice(LOWEST)
    with suppress(OSError):  # a kernel without autogroups compares threads only
        Path("/proc/self/autogroup").write_text(str(LOWEST), "ascii")


def _calls(users: list[Future[list[Call]]]) -> list[Call]:
    return [call for user in users for call in user.result()]


class Admin:
    """Makes and revokes tokens."""

    def __init__(self, server: Server) -> None:
        where = ("--data-dir", server.data_dir, "--user", "root", "--scope", "admin")
        done = run("token", "create", *where)
        assert done.returncode == 0, done.stderr
        self._port = server.port
        self._headers = {"Authorization": f"Bearer {done.stdout.split()[-1]}"}

    def token(self, user: str, *scopes: str) -> dict[str, str]:
        """Return a new token, with its id."""
        body = json.dumps({"user_id": user, "scopes": scopes}).encode()
        headers = {"Content-Type": "application/json", **self._headers}
        return self._call("POST", "/api/tokens", body, headers)

    def revoke(self, token_id: str) -> None:
        """Revoke a token."""
        self._call("DELETE", f"/api/tokens/{token_id}", None, self._headers)

    def _call(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> dict[str, str]:
        with talking(self._port) as client:
            reply = client.call(method, path, body, headers)
        assert reply.status < 300, reply.body
        return dict(reply.json) if reply.json else {}


class Memory:
    """The peak memory of a process and its children, with their shares of what they share."""

    def __init__(self, pid: int) -> None:
        self.parts: dict[str, int] = {}
        self._pid, self._stop = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def peak(self) -> int:
        """The peak in bytes. `parts` has the processes then."""
        return sum(self.parts.values())

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            found = {"server": proportional_size(self._pid)}
            for child in children_of(self._pid):
                name = command_of(child).replace(b"\0", b" ").decode()
                found[f"{name.rpartition('.')[2]} {child}"] = proportional_size(child)
            if sum(found.values()) > self.peak:
                self.parts = found


def proportional_size(pid: int) -> int:
    """Return the proportional set size of a process in bytes (proc(5)); 0 if it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def fill(port: int, own: str) -> list[str]:
    """Record what the hostile user reads, and return the paths of the large ones."""
    paths: list[str] = []
    with talking(port) as client:
        for number in range(2 * ASSETS):
            job = "ab"[number % 2]
            fields = {"name": f"a{number // 2}", "job_id": job, "metadata": METADATA}
            write(client, own, "/api/assets", json.dumps(fields).encode(), "application/json")
        large = write(client, own, "/api/assets?name=large", bytes(40_000_000))
        paths.append(f"/api/assets/{large}/content")
        for shade in range(PICTURES):
            picture = io.BytesIO()
            Image.new("RGB", (4_000, 4_000), (shade, 0, 0)).save(picture, "PNG")
            drawn = write(client, own, "/api/assets?name=p", picture.getvalue(), "image/png")
            paths.append(f"/api/assets/{drawn}/thumbnail")
    return paths


def write(client: Client, own: str, path: str, body: bytes, kind: str = "text/x") -> str:
    """Record an asset, and return its id."""
    headers = {"Authorization": f"Bearer {own}", "Content-Type": kind}
    reply = client.call("POST", path, body, headers)
    assert reply.status == 201, reply.body
    return str(reply.json["id"])


def live(port: int, own: str, seconds: float) -> list[Call]:
    """Be an honest user of one connection: upload, list, search and count."""
    calls, ends = list[Call](), time.monotonic() + seconds
    large, dice = random.Random(own).randbytes(100_000), random.Random(own)
    with talking(port) as client:
        for number in count():
            if time.monotonic() > ends:
                return calls
            post, named = f"/api/assets?job_id=honest&name=report-{number}", f"report-{number}"
            for name, method, path, body in (
                ("upload", "POST", post, b"%d" % number),
                ("large", "POST", post, large),
                ("list", "GET", "/api/assets", None),
                ("search", "GET", f"/api/assets/search?query={named}", None),
                ("usage", "GET", "/api/assets/usage?group_by=job_id", None),
            ):
                headers = {"Authorization": f"Bearer {own}", "Content-Type": "text/x"}
                step = lambda: client.call(method, path, body, headers).status  # noqa: E731, B023
                calls.append(measured(name, step, client))
                time.sleep(dice.random() / 50)
    return calls


def measured(name: str, step: Callable[[], int], client: Client) -> Call:
    """Take a step. A connection that broke is opened again by the next one."""
    began = time.perf_counter()
    try:
        status = step()
    except BROKEN:
        client.connection.close()
        status = 0
    return Call(name, status, time.perf_counter() - began)


def revoke_beside_streams(port: int, admin: Admin, revoked: dict[str, str]) -> float:
    """Open streams with a token, revoke it, and return the seconds until the last one ended."""
    own = f"Authorization: Bearer {revoked['token']}"
    head = f"GET /api/events/stream HTTP/1.1\r\nHost: localhost\r\n{own}\r\n\r\n"
    with ExitStack() as stack:
        streams = [stack.enter_context(raw_connection(port)) for _ in range(3)]
        for stream in streams:
            stream.sendall(head.encode())
            assert stream.recv(1 << 16).startswith(b"HTTP/1.1 200")
        admin.revoke(revoked["id"])
        began = time.monotonic()
        for stream in streams:
            with suppress(ConnectionError):
                while stream.recv(1 << 20):
                    pass
    return time.monotonic() - began


def main() -> None:
    """Run a hostile minute on a new folder, and print what it showed."""
    seconds = float(sys.argv[1]) if sys.argv[1:] else 60.0
    with tempfile.TemporaryDirectory() as folder, attackable(Path(folder) / "data") as server:
        print(hostile_minute(server, seconds).report())
        print("exit code", server.stop(), server.errors[-2_000:])


if __name__ == "__main__":
    main()
