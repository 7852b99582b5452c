"""Follow a running ComfyUI, and record its finished prompts.

Promise: a prompt is recorded as long as ComfyUI's history has it, over restarts of either side.
"""

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final
from uuid import uuid4

import aiohttp
from yarl import URL

from asset_ledger.api.imports.comfyui.prompts import OutputFile, Prompt
from asset_ledger.api.imports.comfyui.recording import PromptRecorder, UnreadableError
from asset_ledger.api.sdk.content import IN_MEMORY, PIECE
from asset_ledger.api.sdk.portal import drain, run
from asset_ledger.api.sdk.sessions import TIMEOUT

NEWEST: Final = 8
"""Entries of the history that are read when ComfyUI's queue changed."""

PAGE: Final = 64
"""Entries of a page of the whole history."""

QUIET: Final = 30.0
"""Seconds without a message of the queue after which the newest entries are read anyway."""

MOST_KNOWN: Final = 50_000
"""Prompts that are remembered as recorded; ComfyUI's history has 10,000 at most."""

GONE: Final = (400, 403, 404)
"""Statuses of a file that ComfyUI does not have."""


class ComfyUnreachableError(Exception):
    """ComfyUI does not answer as expected. The message says why."""


class ComfyServer:
    """Requests to one ComfyUI, made from synchronous code."""

    def __init__(self, url: str) -> None:
        self._url = URL(url.rstrip("/"))
        self._open: aiohttp.ClientSession | None = None

    def history(self, **query: int) -> Mapping[str, Any]:
        """Return entries of the history by the ids of their prompts, the oldest first."""
        return run(self._history(query))

    def changes(self) -> Iterator[bool]:
        """Yield when connected, and whenever entries may be new. Raises ComfyUnreachableError."""
        return drain(self._changes())

    @contextmanager
    def file(self, output: OutputFile) -> Iterator[tuple[IO[bytes], float | None]]:
        """Open a copy of an output's file, and yield it with the time of its last change.

        Raises UnreadableError if ComfyUI does not have it, ComfyUnreachableError.
        """
        with SpooledTemporaryFile(IN_MEMORY) as copy:
            yield copy, run(self._download(output, copy))

    def close(self) -> None:
        """Close the connections."""
        run(self._close())

    async def _history(self, query: Mapping[str, int]) -> Mapping[str, Any]:
        with self._reaching():
            session = await self._session()
            async with session.get(self._url / "history", params=query) as answer:
                answer.raise_for_status()
                found = json.loads(await answer.read())
        if not isinstance(found, dict):
            raise ComfyUnreachableError(f"{self._shown} has no history: is it a ComfyUI?")
        return found

    async def _changes(self) -> AsyncGenerator[bool]:
        with self._reaching():
            session = await self._session()
            address = (self._url / "ws").with_query(clientId=uuid4().hex)
            async with session.ws_connect(address, heartbeat=QUIET, max_msg_size=0) as socket:
                yield True
                while True:
                    if await _is_change(socket):
                        yield True

    async def _download(self, output: OutputFile, copy: IO[bytes]) -> float | None:
        names = {"filename": output.filename, "subfolder": output.subfolder, "type": output.kind}
        with self._reaching():
            session = await self._session()
            async with session.get(self._url / "view", params=names) as answer:
                if answer.status in GONE:
                    raise UnreadableError(f"ComfyUI answers {answer.status} for its file")
                answer.raise_for_status()
                async for piece in answer.content.iter_chunked(PIECE):
                    copy.write(piece)
                return _modified(answer.headers.get("Last-Modified"))

    async def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            self._open = aiohttp.ClientSession(timeout=TIMEOUT)
        return self._open

    async def _close(self) -> None:
        if self._open is not None:
            await self._open.close()

    @property
    def _shown(self) -> URL:
        return self._url.with_user(None)  # without a password

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except aiohttp.ClientResponseError as error:
            reason = f"answered {error.status}: is it a ComfyUI?"
            raise ComfyUnreachableError(f"{self._shown} {reason}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = str(getattr(error, "os_error", error)) or repr(error)
            raise ComfyUnreachableError(f"cannot reach {self._shown}: {reason}") from error


async def _is_change(socket: aiohttp.ClientWebSocketResponse) -> bool:
    """Wait for a message. Return whether the history may have changed. Raises ClientError."""
    try:
        message = await socket.receive(QUIET)
    except TimeoutError:
        return True
    if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
        text = message.type is aiohttp.WSMsgType.TEXT
        return text and json.loads(message.data).get("type") == "status"
    raise aiohttp.ServerDisconnectedError("it closed the connection")


def _modified(header: str | None) -> float | None:
    with suppress(ValueError):
        return None if header is None else parsedate_to_datetime(header).timestamp()
    return None


class ComfyWatch:
    """Records the prompts of a ComfyUI. `note` takes a line for the user."""

    def __init__(
        self, server: ComfyServer, recorder: PromptRecorder, note: Callable[[str], None]
    ) -> None:
        self._server, self._recorder, self._note = server, recorder, note
        self._known: set[tuple[str, float | None]] = set()
        self.recorded = 0
        """Prompts that were recorded."""

    def follow(self) -> None:
        """Record prompts for ever. Raises ComfyUnreachableError, UnavailableError."""
        connected = False
        for _ in self._server.changes():
            if not connected:
                self.catch_up()
                self._note("following ComfyUI; Ctrl-C ends")
                connected = True
            elif not self._record_newest():
                self.catch_up()

    def catch_up(self) -> None:
        """Record the whole history, page by page. Raises what `follow` raises."""
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        seen = set[str]()
        while True:
            page = self._server.history(max_items=PAGE, offset=len(seen))
            new = [prompt_id for prompt_id in page if prompt_id not in seen]
            for prompt_id in new:
                self._record(prompt_id, page[prompt_id])
            seen.update(new)
            if len(new) < PAGE:
                return

    def _record_newest(self) -> bool:
        """Record the newest entries. Return False if there may be more that are not recorded."""
        page = self._server.history(max_items=NEWEST)
        was_known = [self._record(prompt_id, entry) for prompt_id, entry in page.items()]
        return len(page) < NEWEST or any(was_known)

    def _record(self, prompt_id: str, entry: Mapping[str, Any]) -> bool:
        """Record a prompt. Return whether this watch recorded it before."""
        try:
            prompt = Prompt.of(prompt_id, entry)
        except ValueError as error:
            key: tuple[str, float | None] = (prompt_id, None)
            if key not in self._known:
                self._note(f"not recorded: {prompt_id}: {error}")
        else:
            key = (prompt_id, prompt.started)
            if key not in self._known:
                self.recorded += self._recorder.record(prompt)
        was_known = key in self._known
        self._known.add(key)
        return was_known
