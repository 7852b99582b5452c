"""An HTTP client for journeys: one connection, bodies as bytes, complete answers."""

import http.client
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from tests.journeys.server import PATIENCE

BOUNDARY: Final = "boundary-of-the-journeys"
FORM: Final = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
BROKEN: Final = (OSError, http.client.HTTPException)
"""What a request raises when its server is killed."""

Body = bytes | Iterable[bytes] | None


@dataclass(frozen=True)
class Reply:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def slug(self) -> str:
        """The slug of the problem."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        return str(self.json["type"].removeprefix("urn:asset-ledger:"))

    @property
    def replayed(self) -> bool:
        return self.headers.get("Idempotency-Replayed") == "true"


class Client:
    """One connection to a server on this machine. `position`: the highest that it answered."""

    def __init__(self, port: int, timeout: float = PATIENCE) -> None:
        self.position = 0
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def call(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] = {}
    ) -> Reply:
        self.connection.request(method, path, body, dict(headers))
        answer = self.connection.getresponse()
        self.position = max(self.position, int(answer.headers.get("Ledger-Position", 0)))
        return Reply(answer.status, answer.headers, answer.read())  # type: ignore[arg-type]

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, headers=_names(headers))

    def delete(self, path: str, **headers: str) -> Reply:
        return self.call("DELETE", path, headers=_names(headers))

    def upload(self, content: bytes | None, key: str | None = None, **fields: Any) -> Reply:
        """POST a form with a file and its fields."""
        headers = FORM | ({"Idempotency-Key": key} if key else {})
        return self.call("POST", "/api/assets/", form(content, fields), headers)

    def send(self, content: Body, key: str | None = None, **fields: Any) -> Reply:
        """POST the content as the body. An iterable is sent in chunks."""
        headers = {"Content-Type": "application/octet-stream"}
        headers |= {"Idempotency-Key": key} if key else {}
        return self.call("POST", f"/api/assets?{urlencode(fields, doseq=True)}", content, headers)

    def created(self, content: bytes | None = b"content", **fields: Any) -> Any:
        """Create an asset, and return its JSON."""
        reply = self.upload(content, **{"name": "a.bin", **fields})
        assert reply.status == 201, reply.body
        return reply.json

    def folder(self, **fields: Any) -> Any:
        """Create a folder, and return its JSON."""
        return self.created(None, **{"name": "folder", "content_type": "folder", **fields})

    def assets(self, **filters: Any) -> list[Any]:
        """Return every asset of a list, read page by page."""
        found, cursor = [], ""
        while True:
            query = urlencode({"page_size": 1000, **filters, "cursor": cursor})
            page = self.get(f"/api/assets?{query}").json
            found += page["assets"]
            cursor = page["next"]
            if not cursor:
                return found

    def history(self, job_id: str) -> list[Any]:
        """Return every event of a job."""
        reply = self.get(f"/api/jobs/{job_id}/history", Accept="application/x-ndjson")
        assert reply.status == 200, reply.body
        return [json.loads(line) for line in reply.body.splitlines()]

    def close(self) -> None:
        self.connection.close()


@contextmanager
def talking(port: int, timeout: float = PATIENCE) -> Iterator[Client]:
    """Open a client that waits so many seconds for an answer, and close it after the block."""
    client = Client(port, timeout)
    try:
        yield client
    finally:
        client.close()


def form(content: bytes | None, fields: Mapping[str, Any] | None, filename: str = "a.bin") -> bytes:
    """Return a form with a `file` and a `json`. None leaves the field out."""
    body = b""
    if content is not None:
        body += form_head(filename) + content + b"\r\n"
    if fields is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="json"\r\n\r\n'
        body += head.encode() + json.dumps(fields).encode() + b"\r\n"
    return body + FORM_END


def form_head(filename: str) -> bytes:
    """Return the head of the field `file` of a form."""
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()


FORM_END: Final = f"--{BOUNDARY}--\r\n".encode()


def request_head(headers: Mapping[str, str], target: str = "/api/assets") -> bytes:
    """Return the head of an upload, for a raw connection."""
    lines = [f"POST {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def raw_connection(port: int) -> Iterator[socket.socket]:
    """Open a raw connection, for requests that no client library sends."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        yield connection


def read_reply(connection: socket.socket) -> Reply:
    """Read an answer from a raw connection."""
    with closing(http.client.HTTPResponse(connection)) as answer:
        answer.begin()
        return Reply(answer.status, answer.headers, answer.read())  # type: ignore[arg-type]


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
