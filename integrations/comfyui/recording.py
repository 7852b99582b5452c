"""Records prompts of ComfyUI in a ledger: for the custom node and for `asset-ledger watch comfyui`.

Promise: nothing is recorded twice. A job that has ended stays as it is, an asset has an
Idempotency-Key, and a file that a cached node shows again is looked up by its digest.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from io import BytesIO
from typing import IO, Any, Protocol

from .prompts import Fields, OutputFile, Prompt, digest_of

Report = Callable[[str, str, str], None]
"""Takes an outcome, the name of a file or the id of a prompt, and an id or a reason."""


class RequestRefusedError(Exception):
    """The ledger refuses a request, and will refuse it again. The message says why."""


class NeedsAdminError(RequestRefusedError):
    """Only an admin may set the times of events."""


class UnreadableError(Exception):
    """The file of an output cannot be read. The message says why."""


class LedgerUnreachableError(Exception):
    """The ledger does not answer, or does not accept the token. The message says why."""


class PromptLedger(Protocol):
    """A ledger to record in. Its methods raise RequestRefusedError and LedgerUnreachableError."""

    def job(self, job_id: str) -> Mapping[str, Any] | None:
        """Return a job, None if there is none."""

    def start(self, job_id: str, fields: Fields) -> None:
        """Record the start of an attempt. Raises NeedsAdminError for its time."""

    def finish(self, job_id: str, fields: Fields) -> None:
        """Record the end of an attempt. Raises NeedsAdminError for its time."""

    def has(self, query: Mapping[str, str]) -> bool:
        """Return whether an asset, live or deleted, matches these filters."""

    def create(self, fields: Fields, content: IO[bytes], key: str) -> str | None:
        """Record an asset, and return its id; None if another request used the key before.

        Raises NeedsAdminError for its time.
        """


Opened = AbstractContextManager[tuple[IO[bytes], float | None]]
"""The content of a file, and when it was modified."""


class PromptRecorder:
    """Records prompts in a ledger. `files` opens the file of an output, or raises UnreadableError.

    Times are set as long as the ledger allows it.
    """

    def __init__(
        self, ledger: PromptLedger, files: Callable[[OutputFile], Opened], report: Report
    ) -> None:
        self._ledger, self._files, self._report = ledger, files, report
        self._timed = True

    def record(self, prompt: Prompt) -> bool:
        """Record a prompt. Return whether the ledger lacked it or a part of it.

        Raises LedgerUnreachableError; a later call continues.
        """
        try:
            attempt = self._attempt(prompt)
            if attempt is None:
                return False
            self._with_time(self._ledger.start, prompt.job_id, {**prompt.start(), **attempt})
            self._record_files(prompt, attempt)
            self._with_time(self._ledger.finish, prompt.job_id, {**prompt.end(), **attempt})
        except RequestRefusedError as refusal:
            self._report("not recorded", prompt.job_id, str(refusal))
            return True
        self._report(prompt.status, prompt.job_id, (prompt.error or "").partition("\n")[0])
        return True

    def _attempt(self, prompt: Prompt) -> Fields | None:
        """Return the number of the job's attempt to record, None if the ledger has all of it.

        A client can use the id of a prompt again: with other times it is another attempt.
        """
        attempts = (self._ledger.job(prompt.job_id) or {}).get("attempts") or ()
        for each in attempts:
            if not self._timed or _is_at(each["started_at"], prompt.started):
                return None if each["finished_at"] else {"attempt": each["attempt"]}
        return {"attempt": attempts[-1]["attempt"] + 1 if attempts else 1}

    def _record_files(self, prompt: Prompt, attempt: Fields) -> None:
        graph = prompt.large_graph()
        if graph is not None:
            self._create(prompt, "", 0, {**prompt.graph_asset(), **attempt}, BytesIO(graph))
        for output in prompt.outputs:
            try:
                with self._files(output) as (content, modified):
                    self._record_output(prompt, output, attempt, content, modified)
            except (UnreadableError, RequestRefusedError) as error:
                self._report("not recorded", output.path, str(error))

    def _record_output(
        self,
        prompt: Prompt,
        output: OutputFile,
        attempt: Fields,
        content: IO[bytes],
        modified: float | None,
    ) -> None:
        if prompt.replaced(modified):
            raise UnreadableError("the file was replaced after the prompt had ended")
        if output.cached and self._ledger.has(
            {"node_id": output.node_id, "name": output.filename, "digest": digest_of(content)}
        ):
            return
        fields = {**prompt.asset(output, modified), **attempt}
        self._create(prompt, output.node_id, output.index, fields, content)

    def _create(
        self, prompt: Prompt, node_id: str, index: int, fields: Fields, content: IO[bytes]
    ) -> None:
        digest = digest_of(content)
        fields |= {"size": content.seek(0, os.SEEK_END), "digest": digest}
        key = prompt.key(node_id, index, digest)

        def create(_: str, timed: Fields) -> str | None:
            return self._ledger.create(timed, content, key)

        asset_id = self._with_time(create, "", fields)
        if asset_id is not None:
            self._report("new", fields["name"], asset_id)

    def _with_time(self, call: Callable[[str, Fields], Any], name: str, fields: Fields) -> Any:
        """Make a call, without `made_at` if the ledger refuses it."""
        if self._timed:
            try:
                return call(name, _given(fields))
            except NeedsAdminError as refusal:
                self._report("times", "", f"are those of recording: {refusal}")
                self._timed = False
        return call(name, _given({**fields, "made_at": None}))


def _given(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _is_at(started_at: str | None, seconds: float | None) -> bool:
    if started_at is None or seconds is None:
        return True
    when = datetime.fromisoformat(started_at.replace("Z", "+00:00"))
    return abs(when.timestamp() - seconds) < 0.001
