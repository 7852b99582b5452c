"""The webhooks of a data folder, in `hooks.json` (0600), with the position that each one reached.

Signatures need the secret itself, so that it is no event. A position is written within a second of
the event that arrived: after a kill, a receiver may get the last events again.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from asset_ledger.api.contract.errors import TooManyHooksError, UnknownHookError
from asset_ledger.api.contract.fields import parse_field
from asset_ledger.api.contract.hooks import read_hook
from asset_ledger.api.hooks.addresses import check_url
from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.domain.event import iso, parse_time
from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.reading.event_filter import EventFilter
from asset_ledger.ledger.storage.files import storage_errors, write_durably

MAX_HOOKS: Final = 50
"""Each takes a connection, and reads every event."""


@dataclass(slots=True)
class Hook:
    """A receiver of events. `user_id` None: of all users. `failed` counts attempts since a start.

    `failing_since`: since when no attempt succeeded; `disabled_at`: when it was given up.
    """

    id: str
    url: str
    secret: str
    user_id: str | None
    created_at: str
    position: int
    topics: list[str]
    job_id: str | None = None
    node_id: str | None = None
    workflow_id: str | None = None
    delivered: int = 0
    error: str | None = None
    failing_since: str | None = None
    disabled_at: str | None = None
    failed: int = 0

    @property
    def filter(self) -> EventFilter:
        """The filter that its events have to match."""
        return EventFilter(
            user_id=self.user_id,
            topics=frozenset(self.topics),
            job_id=self.job_id,
            node_id=self.node_id,
            workflow_id=self.workflow_id,
        )

    @property
    def status(self) -> Literal["live", "failing", "disabled"]:
        if self.disabled_at is not None:
            return "disabled"
        return "live" if self.failing_since is None else "failing"

    def document(self, head: int) -> dict[str, Any]:
        """Return the hook as a response shows it. `head`: the last position of the log."""
        shown = asdict(self)
        del shown["secret"], shown["failed"]
        return {**shown, "status": self.status, "lag": max(0, head - self.position)}


class Hooks:
    """The webhooks of a folder, for one event loop. `changed` is set when one comes or goes."""

    def __init__(self, path: Path, clock: Clock = utc_now) -> None:
        """Read the file. Raises DataFolderError."""
        self._path, self.clock = path, clock
        self._hooks = {hook.id: hook for hook in _read(path)}
        self._one = asyncio.Lock()
        self.changed = asyncio.Event()

    def all(self) -> list[Hook]:
        """Return every hook, the oldest first."""
        return list(self._hooks.values())

    async def create(
        self, sent: dict[str, Any], caller: str, head: int, *, private: bool = True
    ) -> dict[str, Any]:
        """Make a hook from a request body. Return it with its secret.

        `private`: any address will do, until it is used. Raises FieldError, TooManyHooksError and
        StorageFailedError.
        """
        fields: dict[str, Any] = read_hook(sent, caller)
        parse_field("url", partial(check_url, private=private), fields["url"])
        after = fields.pop("after", head)
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        hook = Hook(
            id=secrets.token_hex(6),
            secret=secret,
            created_at=iso(self.clock()),
            position=min(after, head),
            topics=fields.pop("topics", []),
            **fields,
        )

        def add(hooks: dict[str, Hook]) -> None:
            if len(hooks) >= MAX_HOOKS:
                raise TooManyHooksError(MAX_HOOKS)
            hooks[hook.id] = hook

        await self._change(add)
        return {**hook.document(head), "secret": secret}

    async def remove(self, hook_id: str, head: int) -> dict[str, Any]:
        """Remove a hook, and return it. Raises UnknownHookError and StorageFailedError."""
        hook = self._hooks.get(hook_id)
        if hook is None or not hook.secret:
            raise UnknownHookError(hook_id)
        await self._change(lambda hooks: hooks.pop(hook_id, None))
        return hook.document(head)

    def failing_seconds(self, hook: Hook) -> float:
        """Return since when no attempt succeeded; 0 if the last one did."""
        if hook.failing_since is None:
            return 0.0
        return (self.clock() - parse_time(hook.failing_since)).total_seconds()

    def keep(self, hook_id: str, url: str | None, head: int) -> None:
        """Have a hook without a secret, of the settings, at this address; none without one."""
        hook = self._hooks.pop(hook_id, None)
        if url is not None:
            made = Hook(hook_id, url, "", None, iso(self.clock()), head, [])
            self._hooks[hook_id] = hook or made
            self._hooks[hook_id].url = url

    async def save(self) -> None:
        """Write the positions. Raises StorageFailedError."""
        await self._change(lambda hooks: None)

    async def _change(self, change: Callable[[dict[str, Hook]], object]) -> None:
        """Apply a change once it is durable. Changes run one after the other."""
        async with self._one:
            hooks = dict(self._hooks)
            change(hooks)
            await asyncio.to_thread(_write, self._path, [*hooks.values()])
            if hooks.keys() != self._hooks.keys():
                self._hooks = hooks
                self.changed.set()


def _write(path: Path, hooks: list[Hook]) -> None:
    with storage_errors("the webhooks were not kept"):
        write_durably(path, orjson.dumps([asdict(hook) for hook in hooks]))


def _read(path: Path) -> list[Hook]:
    try:
        found = [Hook(**each) for each in orjson.loads(path.read_bytes())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise DataFolderError(
            f"{path} cannot be read: restore it, or move it away and make the webhooks again"
        ) from error
    for hook in found:
        hook.failed = 0
    return found
