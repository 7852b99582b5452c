"""Asset Ledger for ComfyUI: record each output of every finished prompt.

    asset-ledger watch comfyui --print-node > ComfyUI/custom_nodes/asset_ledger_node.py

ComfyUI then records in the server at ASSET_LEDGER_URL (default: http://127.0.0.1:7777), with the
token ASSET_LEDGER_TOKEN if it is set.

Promise: no prompt waits for the ledger, or fails because of it. A finished prompt is kept in a file
until the ledger has it, also over restarts.
"""

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from .prompts import Fields, OutputFile, Prompt
from .recording import (
    LedgerUnreachableError,
    NeedsAdminError,
    PromptRecorder,
    RequestRefusedError,
    UnreadableError,
)

ADDRESS: Final = "http://127.0.0.1:7777"
TIMEOUT: Final = 60.0
"""Seconds without an answer."""

LONGEST_PAUSE: Final = 60.0
"""Seconds between two attempts to reach the ledger, at most. The first pause is one second."""

LATER: Final = frozenset({401, 403, 408, 429})
"""Statuses that end when a token or a limit is changed; so does every status from 500."""

PROBLEM: Final = "urn:asset-ledger:"
"""The beginning of the type of a ledger's refusals."""

LOG: Final = logging.getLogger("asset_ledger.comfyui")

NODE_CLASS_MAPPINGS: Final[Mapping[str, Any]] = {}
"""ComfyUI loads a module that has this name. There is no node to place in a graph."""


class HttpLedger:
    """The ledger of a server: a `PromptLedger`."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # a proxy does not reach 127.0.0.1
        self._opener = build_opener(ProxyHandler({}), _NoRedirects())

    def job(self, job_id: str) -> Mapping[str, Any] | None:
        """Return a job, None if there is none."""
        with suppress(_UnknownJobError):
            return self._call("GET", f"/api/jobs/{quote(job_id, safe='')}")
        return None

    def start(self, job_id: str, fields: Fields) -> None:
        """Record the start of an attempt."""
        self._post(f"/api/jobs/{quote(job_id, safe='')}/start", fields)

    def finish(self, job_id: str, fields: Fields) -> None:
        """Record the end of an attempt."""
        self._post(f"/api/jobs/{quote(job_id, safe='')}/finish", fields)

    def has(self, query: Mapping[str, str]) -> bool:
        """Return whether an asset, live or deleted, matches these filters."""
        filters = urlencode({**query, "deleted": "any", "page_size": "1"})
        return bool(self._call("GET", f"/api/assets?{filters}")["assets"])

    def create(self, fields: Fields, content: IO[bytes], key: str) -> str | None:
        """Record an asset, and return its id; None if another request used the key before."""
        given = {**fields, "metadata": json.dumps(fields.get("metadata") or {})}
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(fields["size"]),
            "Idempotency-Key": key,
        }
        content.seek(0)
        path = f"/api/assets/content?{urlencode(given, doseq=True)}"
        with suppress(_KeyReusedError):
            return str(self._call("POST", path, headers, content)["id"])
        return None

    def _post(self, path: str, fields: Fields) -> None:
        body = json.dumps(fields).encode()
        self._call("POST", path, {"Content-Type": "application/json"}, body)

    def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = {},
        body: bytes | IO[bytes] | None = None,
    ) -> Mapping[str, Any]:
        url, every = f"{self._url}{path}", {**self._headers, **headers}
        try:
            request = Request(url, body, every, method=method)
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return _document(answer)
        except HTTPError as error:
            with error:
                raise _refusal(error, self._url) from None
        except (OSError, ValueError, HTTPException) as error:
            raise LedgerUnreachableError(f"{self._url} cannot be reached: {error}") from error


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: a POST would arrive as a GET, and the token at any server."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request, so that the status of the answer is an error."""


class _UnknownJobError(RequestRefusedError):
    pass


class _KeyReusedError(RequestRefusedError):
    pass


_KINDS: Final[Mapping[str, type[RequestRefusedError]]] = {
    "unknown-job": _UnknownJobError,
    "key-reused": _KeyReusedError,
}


def _document(answer: HTTPResponse) -> Mapping[str, Any]:
    """Return the JSON of a ledger. Raises ValueError for the answer of another program."""
    if "Ledger-Position" not in answer.headers:
        raise ValueError("another program answers there")
    found: Mapping[str, Any] = json.load(answer)
    return found


def _refusal(error: HTTPError, url: str) -> Exception:
    problem: Any = None
    with suppress(OSError, ValueError, HTTPException):
        problem = json.load(error)
    problem = problem if isinstance(problem, dict) else {}
    kind = str(problem.get("type", ""))
    slug = kind.removeprefix(PROBLEM)
    detail = str(problem.get("detail") or f"{url} answered {error.code} {error.reason}")
    if slug == "missing-scope" and "'admin'" in detail:
        return NeedsAdminError(detail)
    is_of_a_proxy = slug == kind and error.code != 413  # which refuses a file of this size always
    if error.code in LATER or error.code >= 500 or is_of_a_proxy:
        return LedgerUnreachableError(detail)
    return _KINDS.get(slug, RequestRefusedError)(detail)


class Spool:
    """Finished prompts that the ledger lacks, each a file in a folder, the oldest first."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.changed = Event()
        self.changed.set()

    def add(self, prompt_id: str, entry: Mapping[str, Any]) -> None:
        """Keep an entry of ComfyUI's history. Raises OSError."""
        text = json.dumps({"prompt_id": prompt_id, "entry": entry}, default=str)
        name = f"{time.time_ns():020}-{hashlib.sha256(prompt_id.encode()).hexdigest()[:16]}"
        partial = self._folder / f"{name}.partial"
        partial.write_text(text, "utf-8")
        partial.replace(self._folder / f"{name}.json")
        self.changed.set()

    def send(self, recorder: PromptRecorder) -> None:
        """Record every entry, and remove its file. Raises LedgerUnreachableError and OSError."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                kept = json.loads(path.read_text("utf-8"))
                recorder.record(Prompt.of(kept["prompt_id"], kept["entry"]))
            except (ValueError, KeyError, TypeError) as error:
                LOG.warning("prompt %s was not recorded: %s", path.stem, error)
            path.unlink()

    def send_forever(self, recorder: PromptRecorder) -> None:
        """Record entries as they are added. Try again while the ledger cannot be reached."""
        pause = 1.0
        while self.changed.wait():
            self.changed.clear()
            try:
                self.send(recorder)
                pause = 1.0
            except (LedgerUnreachableError, OSError) as error:
                LOG.warning("finished prompts wait to be recorded: %s", error)
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                self.changed.set()


def hook(queue: Any, spool: Spool) -> None:
    """Add every prompt that ends in ComfyUI's `PromptQueue` to the spool."""
    original: Callable[..., Any] = queue.task_done

    @wraps(original)
    def task_done(self: Any, item_id: Any, *arguments: Any, **options: Any) -> Any:
        item = self.currently_running.get(item_id)
        answer = original(self, item_id, *arguments, **options)
        try:
            prompt_id = str(item[1])
            spool.add(prompt_id, self.get_history(prompt_id=item[1])[item[1]])
        except Exception:  # ComfyUI's only worker would end
            LOG.exception("a finished prompt cannot be recorded")
        return answer

    queue.task_done = task_done


def files_of(folders: Any) -> Callable[[OutputFile], Any]:
    """Return the function that opens the file of an output in ComfyUI's folders."""

    @contextmanager
    def opened(output: OutputFile) -> Iterator[tuple[IO[bytes], float | None]]:
        folder = os.path.abspath(folders.get_directory_by_type(output.kind))
        path = Path(os.path.abspath(Path(folder, output.path)))
        if not path.is_relative_to(folder):  # a node may show any name that a prompt has
            raise UnreadableError("it is outside of ComfyUI's folder")
        try:
            file = path.open("rb")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnreadableError(f"its file cannot be read: {reason}") from error
        with file:
            yield file, os.fstat(file.fileno()).st_mtime

    return opened


def report(outcome: str, name: str, text: str) -> None:
    """Log the outcome for a file or a prompt."""
    level = logging.WARNING if outcome in ("not recorded", "times") else logging.INFO
    LOG.log(level, "%s", " ".join(word for word in (outcome, name, text) if word))


def start(execution: Any, folders: Any) -> None:
    """Record the prompts of this ComfyUI from now on, and those that an earlier one left."""
    spool = Spool(Path(folders.get_user_directory(), "asset_ledger"))
    url = os.environ.get("ASSET_LEDGER_URL") or ADDRESS
    ledger = HttpLedger(url, os.environ.get("ASSET_LEDGER_TOKEN"))
    recorder = PromptRecorder(ledger, files_of(folders), report)
    hook(execution.PromptQueue, spool)
    Thread(target=spool.send_forever, args=[recorder], name="asset-ledger", daemon=True).start()
    LOG.info("finished prompts are recorded at %s", url)


if "execution" in sys.modules and "folder_paths" in sys.modules:  # ComfyUI loads this file
    start(sys.modules["execution"], sys.modules["folder_paths"])
