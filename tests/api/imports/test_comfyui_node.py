"""The custom node for ComfyUI: answers of other programs, and files that it may not read."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from asset_ledger.api.imports.comfyui.node import HttpLedger, files_of
from asset_ledger.api.imports.comfyui.prompts import OutputFile
from asset_ledger.api.imports.comfyui.recording import (
    LedgerUnreachableError,
    RequestRefusedError,
    UnreadableError,
)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answer one request at an address with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        server = Thread(target=serve)
        server.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example.org ESMTP\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
        b'HTTP/1.1 400 Bad Request\r\nContent-Length: 16\r\n\r\n{"type": "other"',
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b'HTTP/1.1 200 OK\r\nLedger-Position: 1\r\nContent-Length: 20\r\n\r\n{"job_id"',
    ],
)
def test_prompt_waits_while_another_program_answers(answer: bytes) -> None:
    with answering(answer) as url, pytest.raises(LedgerUnreachableError, match=url):
        HttpLedger(url, None).finish("prompt", {"status": "completed"})


def test_prompt_waits_while_the_address_has_a_wrong_port() -> None:
    with pytest.raises(LedgerUnreachableError, match="nonnumeric port"):
        HttpLedger("http://127.0.0.1:port", None).job("prompt")


def test_file_that_is_too_large_for_a_proxy_is_refused() -> None:
    answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"

    with answering(answer) as url, pytest.raises(RequestRefusedError, match="413"):
        HttpLedger(url, None).finish("prompt", {})


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc/hostname", "nul\0"])
def test_file_outside_of_its_folder_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "output").mkdir()
    folders = SimpleNamespace(get_directory_by_type=lambda kind: str(tmp_path / kind))
    output = OutputFile("1", "Shows", 0, name, "", "output", cached=False)

    with pytest.raises(UnreadableError), files_of(folders)(output):
        pass
