"""A server of Google's XML interface: SeaweedFS behind a proxy, since it is that of S3 with other
names of headers (https://cloud.google.com/storage/docs/migrating). It checks no credentials.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

from tests.s3 import serving_s3

BUCKET: Final = "backups"
PATIENCE: Final = 60.0
HEADERS: Final = {
    "content-length": "Content-Length",
    "content-type": "Content-Type",
    "range": "Range",
    "x-goog-copy-source": "x-amz-copy-source",
}
"""The headers that are forwarded, and their names on the other side."""


@dataclass(frozen=True)
class Gcs:
    """A running server with one bucket, `backups`, and the requests that it got."""

    endpoint: str
    requests: list[str]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that clients of Google Cloud Storage read."""
        account = {"gcs_base_url": self.endpoint, "disable_oauth": True}
        account |= {"client_email": "", "private_key": "", "private_key_id": ""}
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}


@contextmanager
def serving_gcs(folder: Path) -> Iterator[Gcs]:
    """Start a server, and stop it after the block."""
    requests = list[str]()
    with serving_s3(folder, is_open=True) as s3:
        host = urlsplit(s3.endpoint).netloc

        class Forwarding(_Forwarding):
            upstream = host
            log = requests

        server = ThreadingHTTPServer(("127.0.0.1", 0), Forwarding)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Gcs(f"http://127.0.0.1:{server.server_port}", requests)
        finally:
            server.shutdown()
            server.server_close()


class _Forwarding(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = ""
    log: list[str]

    def forward(self) -> None:
        self.log.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {HEADERS[name]: self.headers[name] for name in HEADERS if name in self.headers}
        if self.headers.get("x-goog-if-generation-match") == "0":
            headers["If-None-Match"] = "*"
        with closing(HTTPConnection(self.upstream, timeout=PATIENCE)) as connection:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            if answer.getheader("Content-Length") is None:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward  # noqa: N815 - names of the library

    def log_message(self, *_: Any) -> None:
        """Print nothing."""
