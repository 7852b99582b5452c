"""A mixed load with a model: several clients upload, edit, replace, delete, restore and read, while
an operator rebuilds, collects and backs up.

Each client has assets of its own, and one step under way at most. A step that a fault broke off is
sent again with its key, so that the model knows every asset exactly.
"""

import json
import random
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from tests.journeys.client import BROKEN, Client, Reply, talking
from tests.journeys.server import program

CLIENTS: Final = 8
SIZES: Final = (0, 1, 3_000, 65_536, 65_537, 300_000)
JSON: Final = {"Content-Type": "application/json"}
RAW: Final = {"Content-Type": "application/octet-stream"}
TUS: Final = {"Tus-Resumable": "1.0.0"}
PIECE: Final = TUS | {"Content-Type": "application/offset+octet-stream"}

Step = Callable[[Client], None]


class RefusedForNowError(Exception):
    """The server answered 503 or 507: the step is sent again later."""


@dataclass
class Expected:
    """What an asset has to be."""

    name: str
    content: bytes
    is_deleted: bool = False


@dataclass
class Member:
    """One client: its assets, and the step that has no answer yet."""

    name: str
    dice: random.Random
    assets: dict[str, Expected] = field(default_factory=dict)
    unanswered: Step | None = None
    steps: Counter[str] = field(default_factory=Counter)

    def work(self, port: int, answered: Callable[[], None]) -> None:
        """Take steps until the server is gone, or refuses one for now."""
        with talking(port) as client:
            try:
                while True:
                    self.take(client)
                    answered()
            except (*BROKEN, RefusedForNowError):
                return

    def take(self, client: Client) -> None:
        """Take the step that has no answer yet, or another one."""
        if self.unanswered is None:
            self.unanswered = self._choose()
        self.unanswered(client)
        self.unanswered = None

    def _choose(self) -> Step:
        live = [each for each, asset in self.assets.items() if not asset.is_deleted]
        deleted = [each for each, asset in self.assets.items() if asset.is_deleted]
        steps: list[tuple[str, Step]] = [
            ("create", partial(self._create, self._content())),
            ("create", partial(self._create, self._content())),
            ("resumable", partial(self._resumable, self._content())),
        ]
        if live:
            one = self.dice.choice(live)
            steps += [
                ("edit", partial(self._edit, one)),
                ("replace", partial(self._replace, one, self._content())),
                ("resumable replace", partial(self._resume, one, self._content())),
                ("delete", partial(self._delete, one)),
                ("read", partial(self._read, one)),
                ("read", partial(self._read, one)),
            ]
        if deleted:
            steps.append(("restore", partial(self._restore, self.dice.choice(deleted))))
        name, step = self.dice.choice(steps)
        self.steps[name] += 1
        return partial(step, key=f"{self.name} {self.steps.total()}")  # type: ignore[call-arg]

    def _content(self) -> bytes:
        size = self.dice.choice(SIZES)
        seed = self.dice.choice((self.dice.random(), "shared"))
        return random.Random(seed).randbytes(size)

    def _create(self, content: bytes, client: Client, *, key: str) -> None:
        post = client.upload if len(content) % 2 else client.send
        reply = _accepted(post(content, key, name=key, job_id=self.name))
        self.assets[reply.json["id"]] = Expected(key, content)

    def _resumable(self, content: bytes, client: Client, *, key: str) -> None:
        self.assets[_in_pieces(client, content, key, name=key)] = Expected(key, content)

    def _resume(self, one: str, content: bytes, client: Client, *, key: str) -> None:
        assert _in_pieces(client, content, key, asset_id=one) == one
        self.assets[one].content = content

    def _edit(self, one: str, client: Client, *, key: str) -> None:
        body = json.dumps({"name": key, "tags": [key]}).encode()
        _accepted(client.call("PATCH", f"/api/assets/{one}", body, _keyed(JSON, key)))
        self.assets[one].name = key

    def _replace(self, one: str, content: bytes, client: Client, *, key: str) -> None:
        path = f"/api/assets/{one}/content"
        _accepted(client.call("PUT", path, content, _keyed(RAW, key)))
        self.assets[one].content = content

    def _delete(self, one: str, client: Client, *, key: str) -> None:
        _accepted(client.call("DELETE", f"/api/assets/{one}", None, _keyed({}, key)))
        self.assets[one].is_deleted = True

    def _restore(self, one: str, client: Client, *, key: str) -> None:
        reply = client.call("POST", f"/api/assets/{one}/restore", None, _keyed({}, key))
        if reply.status == 409:
            assert reply.slug == "not-restorable", reply.body  # its bytes were collected
            return
        _accepted(reply)
        self.assets[one].is_deleted = False

    def _read(self, one: str, client: Client, *, key: str) -> None:
        # A write may be answered before the tables have it, as when the disk dies in between.
        path = f"/api/assets/{one}/content?min_position={client.position}"
        reply = _accepted(client.get(path))
        assert reply.body == self.assets[one].content, "other bytes were served"


def _in_pieces(client: Client, content: bytes, key: str, **fields: str) -> str:
    """Send a resumable upload, and return the id of its asset."""
    encoded = {name: b64encode(text.encode()).decode() for name, text in fields.items()}
    metadata = ",".join(f"{name} {text}" for name, text in encoded.items())
    headers = TUS | {"Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    new = _accepted(client.call("POST", "/api/uploads", b"", _keyed(headers, key)))
    path = new.headers.get("Location", "")
    while (asset := new.headers.get("Ledger-Asset")) is None:
        offset = int(new.headers["Upload-Offset"])
        piece = content[offset : offset + max(1, len(content) // 2)]
        sent = PIECE | {"Upload-Offset": str(offset)}
        new = _accepted(client.call("PATCH", path, piece, sent))
    return asset


def _keyed(headers: dict[str, str], key: str) -> dict[str, str]:
    return headers | {"Idempotency-Key": key}


def _accepted(reply: Reply) -> Reply:
    if reply.status in (503, 507):
        raise RefusedForNowError(reply.body)
    assert 200 <= reply.status < 300, (reply.status, reply.body)
    return reply


class Team:
    """The clients of one ledger, and their operator."""

    def __init__(self, seed: str, backups: Path | None = None, clients: int = CLIENTS) -> None:
        self.members = [Member(f"{seed}.{n}", random.Random(f"{seed}.{n}")) for n in range(clients)]
        self.operations = Counter[str]()
        self._dice, self._backups = random.Random(seed), backups
        self._answers = threading.Semaphore(0)

    @property
    def steps(self) -> Counter[str]:
        """How many steps of each kind were taken, with those of the operator."""
        return sum((member.steps for member in self.members), self.operations)

    @contextmanager
    def working(self, data_dir: Path, port: int) -> Iterator[None]:
        """Work while the block runs, which has to end with the server gone, or read-only."""
        with ThreadPoolExecutor(len(self.members) + 1) as threads:
            ends = [
                threads.submit(member.work, port, self._answers.release) for member in self.members
            ]
            ends.append(threads.submit(self._operate, data_dir, port))
            yield
            for end in ends:
                end.result()

    def wait_for_answers(self, count: int) -> None:
        """Wait until `count` more steps are answered."""
        while self._answers.acquire(blocking=False):
            pass  # earlier answers do not count
        for _ in range(count):
            assert self._answers.acquire(timeout=60), "the load stands still"

    def settle(self, port: int) -> None:
        """Send the steps without an answer again."""
        with talking(port) as client:
            for member in self.members:
                if member.unanswered is not None:
                    member.take(client)

    def check(self, port: int) -> None:
        """Check that the ledger has exactly the assets of the model, and their bytes."""
        expected = {k: v for member in self.members for k, v in member.assets.items()}
        live = {k: v for k, v in expected.items() if not v.is_deleted}
        with talking(port) as client:
            listed = {asset["id"]: asset for asset in client.assets()}
            assert listed.keys() == live.keys()
            for each, asset in live.items():
                shown = listed[each]
                assert (shown["name"], shown["size"]) == (asset.name, len(asset.content))
                body = client.get(f"/api/assets/{each}/content").body
                assert body == asset.content, f"other bytes of {asset.name}"
            for each in expected.keys() - live.keys():
                assert client.get(f"/api/assets/{each}").status == 410

    def _operate(self, data_dir: Path, port: int) -> None:
        kind = self._dice.choice(["rebuild", "collect", "backup"][: 3 if self._backups else 2])
        self.operations[kind] += 1
        time.sleep(self._dice.uniform(0, 0.2))
        if kind == "backup":
            assert self._backups is not None
            with program("backup", "create", self._backups, "--data-dir", data_dir) as command:
                time.sleep(self._dice.uniform(0, 2.0))
                command.kill()
            return
        path = "/api/projections/rebuild" if kind == "rebuild" else "/api/collection"
        body = json.dumps({} if kind == "rebuild" else {"apply": True, "retain_deleted": "0"})
        try:
            with talking(port) as client:
                reply = client.call("POST", path, body.encode(), JSON)
        except BROKEN:
            return
        assert reply.status in (200, 202, 503, 507), reply.body
