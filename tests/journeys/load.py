"""Uploads of every kind from several connections at once, until the server dies under them.

What was acknowledged, and what was sent with a key but never answered, is remembered.
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

CONNECTIONS: Final = 6
MANY: Final = 12
"""So many uploads at once have a process of its own write."""
SIZES: Final = (0, 1, 4096, 65_536, 65_537, 300_000)
"""On both sides of the border between packed contents and files."""


@dataclass(frozen=True)
class Upload:
    """One upload, which can be sent again exactly."""

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
    """What became of everything that was sent.

    `patient`: who hears that the outcome is unknown asks again with his key, or lets it be.
    """

    patient: bool = False
    acknowledged: dict[str, tuple[Upload, Any]] = field(default_factory=dict)
    unanswered: list[Upload] = field(default_factory=list)
    answers: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def acknowledge(self, upload: Upload, reply: Reply) -> None:
        assert reply.status == 201, reply.body
        self.acknowledged[reply.json["id"]] = upload, reply.json
        self.answers.release()


@contextmanager
def under_load(port: int, load: Load, seed: int, connections: int = CONNECTIONS) -> Iterator[None]:
    """Connections that upload while the block runs. They end with the server, not with the block:
    the block has to end the server."""
    with ThreadPoolExecutor(connections) as threads:
        uploaders = [
            threads.submit(upload_until_broken, port, load, f"{seed}.{number}")
            for number in range(connections)
        ]
        yield
        for uploader in uploaders:
            uploader.result()


def upload_until_broken(port: int, load: Load, name: str) -> None:
    """One connection."""
    dice = random.Random(name)
    with talking(port) as client:
        for number in count():
            upload = some_upload(dice, f"{name}.{number}")
            try:
                reply = upload.send(client)
                while load.patient and reply.status == 503 and upload.key:
                    assert reply.slug == "outcome-unknown", reply.body
                    reply = upload.send(client)
            except BROKEN:
                load.unanswered.append(upload)
                return
            if not load.patient or reply.status != 503:
                load.acknowledge(upload, reply)


def some_upload(dice: random.Random, name: str) -> Upload:
    """Small or large, form or raw, with a key or without; now and then bytes that others have."""
    seed = dice.choice((name, "the same bytes"))
    return Upload(
        name=name,
        content=random.Random(seed).randbytes(dice.choice(SIZES)),
        key=dice.choice((f"key {name}", None)),
        as_form=dice.choice((True, False)),
        fields=dice.choice(({}, {"node_id": "n"}, {"job_id": "j", "workflow_id": "w"})),
    )
