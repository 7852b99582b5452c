"""A client of the tests' own: one connection, requests as bytes, answers read to their end."""

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
"""What a client sees when its server dies."""

Body = bytes | Iterable[bytes] | None


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def slug(self) -> str:
        """Which problem this is."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        return str(self.json["type"].removeprefix("urn:asset-ledger:"))

    @property
    def replayed(self) -> bool:
        return self.headers.get("Idempotency-Replayed") == "true"


class Client:
    """One connection to a server on this machine."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def call(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] = {}
    ) -> Reply:
        self.connection.request(method, path, body, dict(headers))
        answer = self.connection.getresponse()
        # http.client's headers ignore case
        return Reply(answer.status, answer.headers, answer.read())  # type: ignore[arg-type]

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, headers=_names(headers))

    def delete(self, path: str, **headers: str) -> Reply:
        return self.call("DELETE", path, headers=_names(headers))

    def upload(self, content: bytes | None, key: str | None = None, **fields: Any) -> Reply:
        """POST a form of a file and its fields."""
        headers = FORM | ({"Idempotency-Key": key} if key else {})
        return self.call("POST", "/api/assets/", form(content, fields), headers)

    def send(self, content: Body, key: str | None = None, **fields: Any) -> Reply:
        """POST a body that is nothing but the content; an iterable goes in chunks."""
        headers = {"Content-Type": "application/octet-stream"}
        headers |= {"Idempotency-Key": key} if key else {}
        return self.call("POST", f"/api/assets?{urlencode(fields, doseq=True)}", content, headers)

    def created(self, content: bytes | None = b"content", **fields: Any) -> Any:
        """The JSON of a new asset."""
        reply = self.upload(content, **{"name": "a.bin", **fields})
        assert reply.status == 201, reply.body
        return reply.json

    def folder(self, **fields: Any) -> Any:
        """The JSON of a new folder."""
        return self.created(None, **{"name": "folder", "content_type": "folder", **fields})

    def assets(self, **filters: Any) -> list[Any]:
        """Every asset that a list shows, page by page."""
        found, cursor = [], ""
        while True:
            query = urlencode({"page_size": 1000, **filters, "cursor": cursor})
            page = self.get(f"/api/assets?{query}").json
            found += page["assets"]
            cursor = page["next"]
            if not cursor:
                return found

    def history(self, job_id: str) -> list[Any]:
        """Every event of a job."""
        reply = self.get(f"/api/jobs/{job_id}/history", Accept="application/x-ndjson")
        assert reply.status == 200, reply.body
        return [json.loads(line) for line in reply.body.splitlines()]

    def close(self) -> None:
        self.connection.close()


@contextmanager
def talking(port: int) -> Iterator[Client]:
    """A client until the block ends."""
    client = Client(port)
    try:
        yield client
    finally:
        client.close()


def form(content: bytes | None, fields: Mapping[str, Any] | None, filename: str = "a.bin") -> bytes:
    """A form of a `file` and a `json`, either of which may be missing."""
    body = b""
    if content is not None:
        body += form_head(filename) + content + b"\r\n"
    if fields is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="json"\r\n\r\n'
        body += head.encode() + json.dumps(fields).encode() + b"\r\n"
    return body + FORM_END


def form_head(filename: str) -> bytes:
    """Where a form's file begins."""
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()


FORM_END: Final = f"--{BOUNDARY}--\r\n".encode()


def request_head(headers: Mapping[str, str], target: str = "/api/assets") -> bytes:
    """The head of an upload, to be sent by hand."""
    lines = [f"POST {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def plugged(port: int) -> Iterator[socket.socket]:
    """A bare connection, for requests that no client library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plug:
        yield plug


def read_reply(plug: socket.socket) -> Reply:
    """The answer that comes out of a bare connection."""
    with closing(http.client.HTTPResponse(plug)) as answer:
        answer.begin()
        return Reply(answer.status, answer.headers, answer.read())  # type: ignore[arg-type]


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
