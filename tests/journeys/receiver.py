"""A receiver of webhooks as a process: it notes each message in a file before it answers.

Run it with a port, the file, and what it does: `accept`, `hang` or `flaky` (every sixth answer is
503).
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from json import dumps
from pathlib import Path

NUMBERS = count()


class Handler(BaseHTTPRequestHandler):
    """Notes headers and body of each message."""

    protocol_version = "HTTP/1.1"
    file: Path
    does: str

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.does == "hang":
            time.sleep(3600)
        accepted = self.does != "flaky" or next(NUMBERS) % 6 != 2
        line = {"headers": dict(self.headers), "body": body, "accepted": accepted}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(dumps(line) + "\n")
        self.send_response(204 if accepted else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    Handler.file, Handler.does = Path(sys.argv[2]), sys.argv[3]
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
