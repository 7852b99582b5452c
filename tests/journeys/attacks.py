"""Attacks on a server, many at once: large bodies, costly reads, and clients that do not read, do
not send, or come and go."""

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from tests.journeys.client import BROKEN, talking

CONNECTIONS: Final = 340
"""Connections that one thread of the client without a token holds, a third of 1,024."""
UNREAD: Final = 80
"""Answers that the reader holds and does not read."""
WORD: Final = "a" * 128
JSON: Final = {"Content-Type": "application/json"}

Attack = Callable[[], object]
"""One step of an attack, which is repeated. Raises OSError or HTTPException."""

Sent = tuple[str, str, bytes]

IDS: Final = json.dumps({"asset_ids": [1] * 170_000}).encode()
BODIES: Final[Sequence[Sent]] = [
    ("POST", "/api/assets/download", IDS),
    ("POST", "/api/assets/download", json.dumps({"asset_ids": [1] * 5_000_000}).encode()),
    ("POST", "/api/assets/download", b'{"asset_ids":' + b"[" * 250_000 + b"]" * 250_000 + b"}"),
    ("PUT", "/api/assets/0", json.dumps({f"f{n:x}": 1 for n in range(20_000)}).encode()),
]
READS: Final[Sequence[str]] = [
    "/api/assets/search?page_size=1&query=" + "a" * 10_000,
    "/api/assets/search?page_size=1000&query=" + "+".join([WORD] * 3),
    "/api/assets/search?query=" + "+".join(["aaa"] * 32),
    "/api/assets?sort=name&page_size=1000",
    "/api/assets?query=aaaa&sort=-size&count=exact&page_size=1000",
    "/api/jobs/a/compare/b?page_size=1000",
    "/api/assets/usage?group_by=job_id&job_id=a",
    "/api/assets/eve/recursive",
]
LONG: Final[Sequence[str]] = [
    "/api/assets?page_size=1000",
    "/api/events?limit=1000",
    "/api/events/stream?after=0",
    "/api/jobs/a/history?page_size=1000",
    "/api/jobs/a/compare/b?page_size=1000",
    "/api/assets/search?query=aaa&page_size=1000",
    "/api/assets/eve/recursive",
]


def attack_with_token(port: int, token: str, large: Sequence[str], seconds: float) -> Counter[str]:
    """Attack with a token that may only read. `large`: contents and thumbnails to ask for."""
    client = Attacker(port, token)
    return at_once(
        seconds,
        {
            "bodies": [partial(client.send, *sent) for sent in BODIES],
            "reads": [lambda: client.read(random.choice(READS))] * 4,
            "left": [lambda: client.leave(random.choice(READS))],
            "unread": [lambda: client.hold(random.choice([*LONG, *large]), UNREAD)],
            "unfinished": [lambda: client.hold_body(UNREAD)],
            "pictures": [lambda: client.read(random.choice(large))] * 2,
        },
    )


def attack_without_token(port: int, seconds: float) -> Counter[str]:
    """Attack without a token: connections, heads and bodies."""
    client, strangers = Attacker(port, None), [Attacker(port, None) for _ in range(4)]
    return at_once(
        seconds,
        {
            "churn": [partial(each.hold_head, CONNECTIONS) for each in strangers],
            "bodies": [lambda: client.send(*BODIES[0])],
            "refused": [lambda: client.read(random.choice(["/api/assets", "/readyz", "/metrics"]))],
            "unfinished": [lambda: client.hold_body(UNREAD)],
        },
    )


def at_once(seconds: float, attacks: dict[str, list[Attack]]) -> Counter[str]:
    """Repeat each attack in a thread of its own; return how many steps each name took."""
    ends, steps = time.monotonic() + seconds, Counter[str]()

    def repeat(name: str, step: Attack) -> None:
        while time.monotonic() < ends:
            try:
                step()
                steps[name] += 1
            except BROKEN:
                steps[f"{name} broken"] += 1

    threads = [
        threading.Thread(target=repeat, args=(name, step))
        for name, several in attacks.items()
        for step in several
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return steps


class Attacker:
    """A client that holds connections."""

    def __init__(self, port: int, token: str | None) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._held: list[socket.socket] = []

    def send(self, method: str, path: str, body: bytes) -> None:
        """Send a body, and read the answer."""
        with talking(self._port) as client:
            client.call(method, path, body, {**JSON, **self._headers})

    def read(self, path: str) -> None:
        """Read an answer to its end."""
        with talking(self._port) as client:
            client.call("GET", path, None, self._headers)

    def leave(self, path: str) -> None:
        """Ask, and close the connection soon."""
        opened = self._ask("GET", path, {})
        time.sleep(random.random() / 10)
        opened.close()

    def hold(self, path: str, number: int) -> None:
        """Ask, and read nothing."""
        self._keep(self._ask("GET", path, {}), number)

    def hold_body(self, number: int) -> None:
        """Send a part of a large body."""
        headers = {**JSON, "Content-Length": "500000"}
        opened = self._ask("POST", "/api/assets/download", headers)
        self._keep(opened, number)
        opened.sendall(b'{"asset_ids":[' + b"1," * 100_000)

    def hold_head(self, number: int) -> None:
        """Open a connection and send half of a head; of many, close a few."""
        opened = self._connect()
        opened.sendall(b"GET /api/assets HTTP/1.1\r\nHost: localhost\r\n")
        self._keep(opened, number, drop=random.randrange(1, 6))
        time.sleep(0.001)

    def _keep(self, opened: socket.socket, number: int, drop: int = 1) -> None:
        """Keep a connection; of more than `number`, close the oldest."""
        self._held.append(opened)
        if len(self._held) > number:
            gone, self._held = self._held[:drop], self._held[drop:]
            for each in gone:
                each.close()

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> socket.socket:
        opened = self._connect()
        lines = [f"{name}: {value}" for name, value in {**headers, **self._headers}.items()]
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]
        opened.sendall("\r\n".join(head).encode())
        return opened

    def _connect(self) -> socket.socket:
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        opened.settimeout(10)
        opened.connect(("127.0.0.1", self._port))
        return opened
