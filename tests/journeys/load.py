"""Upload from several connections at once, until the server is killed.

`Load` has the acknowledged uploads, and the uploads without an answer.
"""

import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from tests.journeys.client import BROKEN, Client, Reply, talking
from tests.journeys.server import PATIENCE

CONNECTIONS: Final = 6
MANY_CONNECTIONS: Final = 12
SIZES: Final = (0, 1, 4096, 65_536, 65_537, 300_000)
"""Bytes. Contents up to 65,536 are packed, larger ones are files."""


@dataclass(frozen=True)
class Upload:
    """One upload. It can be sent again exactly."""

    name: str
    content: bytes
    key: str | None
    as_form: bool
    fields: dict[str, Any]

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def send(self, client: Client) -> Reply:
        post = client.upload if self.as_form else client.send
        return post(self.content, self.key, name=self.name, **self.fields)


@dataclass
class Load:
    """The results of all uploads.

    `retries_unknown`: an upload with a key is sent again after the answer `outcome-unknown`, and
    one without a key is ignored then.
    """

    retries_unknown: bool = False
    acknowledged: dict[str, tuple[Upload, Any]] = field(default_factory=dict)
    unanswered: list[Upload] = field(default_factory=list)
    answers: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def acknowledge(self, upload: Upload, reply: Reply) -> None:
        assert reply.status == 201, reply.body
        self.acknowledged[reply.json["id"]] = upload, reply.json
        self.answers.release()

    def wait_for_answers(self, count: int, within: float = PATIENCE) -> None:
        """Wait until `count` more uploads are acknowledged, each within so many seconds."""
        while self.answers.acquire(blocking=False):
            pass  # earlier answers do not count
        for _ in range(count):
            assert self.answers.acquire(timeout=within)


@contextmanager
def under_load(port: int, load: Load, seed: int, connections: int = CONNECTIONS) -> Iterator[None]:
    """Upload over several connections while the block runs.

    The connections end with the server, so the block has to kill or stop it.
    """
    with ThreadPoolExecutor(connections) as threads:
        uploaders = [
            threads.submit(upload_until_broken, port, load, f"{seed}.{number}")
            for number in range(connections)
        ]
        yield
        for uploader in uploaders:
            uploader.result()


def upload_until_broken(port: int, load: Load, name: str) -> None:
    """Upload over one connection until it breaks."""
    dice = random.Random(name)
    with talking(port) as client:
        for number in count():
            upload = some_upload(dice, f"{name}.{number}")
            try:
                reply = upload.send(client)
                while load.retries_unknown and reply.status == 503 and upload.key:
                    assert reply.slug == "outcome-unknown", reply.body
                    reply = upload.send(client)
            except BROKEN:
                load.unanswered.append(upload)
                return
            if not load.retries_unknown or reply.status != 503:
                load.acknowledge(upload, reply)


def some_upload(dice: random.Random, name: str) -> Upload:
    """Return a random upload. Some have the bytes of other uploads."""
    seed = dice.choice((name, "shared"))
    return Upload(
        name=name,
        content=random.Random(seed).randbytes(dice.choice(SIZES)),
        key=dice.choice((f"key {name}", None)),
        as_form=dice.choice((True, False)),
        fields=dice.choice(({}, {"node_id": "n"}, {"job_id": "j", "workflow_id": "w"})),
    )
