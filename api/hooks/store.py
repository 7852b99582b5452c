"""The webhooks of a ledger, with their secrets and the position that each one reached.

They are in `hooks.json` (0600) of the data folder, or in the database. Signatures need the secret
itself, so that it is no event. A position is written within a second of the event that arrived:
after a kill, a receiver may get the last events again.
"""

import asyncio
import base64
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Protocol

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
TURN: Final = 1.0
"""Seconds between two looks of a server at its turn, and at what other servers have changed."""


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


class HookStore(Protocol):
    """Where hooks are stored. Every method blocks, and raises StorageFailedError."""

    is_shared: bool
    """Whether several servers have these hooks: each may change them, one at a time delivers."""

    def load(self) -> Iterable[Hook]:
        """Return every hook, the oldest first. Raises DataFolderError."""

    def add(self, hook: Hook) -> None:
        """Store a new hook. Raises TooManyHooksError for one more webhook than `MAX_HOOKS`."""

    def remove(self, hook_id: str) -> None:
        """Remove a hook, if it is there."""

    def save(self, hooks: Sequence[Hook]) -> None:
        """Store the positions and states of hooks, except of those that were removed."""

    def take_turn(self) -> bool:
        """Return whether this server may deliver now. It keeps its turn as long as it asks."""

    def end_turn(self) -> None:
        """Let another server deliver."""

    def close(self) -> None:
        """Close the store."""


class HookFile:
    """The hooks of a data folder, in one file. See `HookStore` for the methods."""

    is_shared = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[Hook]:
        """Return every hook. Raises DataFolderError for a file that cannot be read."""
        try:
            found = [Hook(**each) for each in orjson.loads(self._path.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise DataFolderError(
                f"{self._path} cannot be read: restore it, or move it away and make the webhooks"
                " again"
            ) from error
        for hook in found:
            hook.failed = 0
        return found

    def add(self, hook: Hook) -> None:
        """Store a new hook. Raises TooManyHooksError."""
        found = self.load()
        check_room(hook, len(found))
        self.save([*found, hook])

    def remove(self, hook_id: str) -> None:
        """Remove a hook, if it is there."""
        self.save([hook for hook in self.load() if hook.id != hook_id])

    def save(self, hooks: Sequence[Hook]) -> None:
        """Write the file anew, with these hooks."""
        with storage_errors("the webhooks were not kept"):
            write_durably(self._path, orjson.dumps([asdict(hook) for hook in hooks]))

    def take_turn(self) -> bool:
        """Return True: one server has the folder."""
        return True

    def end_turn(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: no file is open."""


def check_room(hook: Hook, before: int) -> None:
    """Raise TooManyHooksError for one webhook more. That of a setting, without secret, fits in."""
    if hook.secret and before >= MAX_HOOKS:
        raise TooManyHooksError(MAX_HOOKS)


class Hooks:
    """The webhooks of a ledger, for one event loop. `changed` is set when one comes or goes."""

    def __init__(self, store: HookStore, clock: Clock = utc_now) -> None:
        """Load them. Raises DataFolderError, StorageFailedError."""
        self._store, self.clock = store, clock
        self._hooks = {hook.id: hook for hook in store.load()}
        self._is_delivering = False
        self._one = asyncio.Lock()
        self.changed = asyncio.Event()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    @property
    def is_shared(self) -> bool:
        """Whether several servers have these hooks."""
        return self._store.is_shared

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
        await self._add(hook)
        return {**hook.document(head), "secret": secret}

    async def remove(self, hook_id: str, head: int) -> dict[str, Any]:
        """Remove a hook, and return it. Raises UnknownHookError and StorageFailedError."""
        await self.refresh()
        hook = self._hooks.get(hook_id)
        if hook is None or not hook.secret:
            raise UnknownHookError(hook_id)
        await self._remove(hook_id)
        return hook.document(head)

    def failing_seconds(self, hook: Hook) -> float:
        """Return since when no attempt succeeded; 0 if the last one did."""
        if hook.failing_since is None:
            return 0.0
        return (self.clock() - parse_time(hook.failing_since)).total_seconds()

    async def keep(self, hook_id: str, url: str | None, head: int) -> None:
        """Have a hook without a secret, of the settings, at this address; none without one.

        Raises StorageFailedError.
        """
        hook = self._hooks.get(hook_id)
        if url is None and hook is not None:
            await self._remove(hook_id)
        elif url is not None and hook is None:
            await self._add(Hook(hook_id, url, "", None, iso(self.clock()), head, []))
        elif url is not None and hook is not None and hook.url != url:
            hook.url = url
            await self.save()

    async def save(self) -> None:
        """Write the positions, if it is this server's turn. Raises StorageFailedError."""
        async with self._one:
            await asyncio.to_thread(self._store.save, self.all())

    async def take_turn(self) -> None:
        """Wait until it is this server's turn to deliver. Follow what other servers do meanwhile.

        Raises StorageFailedError.
        """
        while not await self._has_turn():
            await self.refresh()
            await asyncio.sleep(TURN)
        await self.refresh()  # where the server before this one has stopped
        self._is_delivering = True

    async def keep_turn(self) -> None:
        """Follow what other servers add and remove, until the turn has ended.

        Raises StorageFailedError.
        """
        if not self.is_shared:
            await asyncio.Event().wait()
        while await self._has_turn():
            await self.refresh()
            await asyncio.sleep(TURN)

    async def end_turn(self) -> None:
        """Let another server deliver."""
        self._is_delivering = False
        async with self._one:
            await asyncio.to_thread(self._store.end_turn)

    async def _has_turn(self) -> bool:
        async with self._one:
            return await asyncio.to_thread(self._store.take_turn)

    async def refresh(self) -> None:
        """Read what other servers have changed. Raises StorageFailedError."""
        if not self.is_shared:
            return
        async with self._one:
            found = {hook.id: hook for hook in await asyncio.to_thread(self._store.load)}
            if self._is_delivering:  # then this server has the newest positions
                found = {hook_id: self._hooks.get(hook_id, found[hook_id]) for hook_id in found}
            self._become(found)

    def _become(self, hooks: dict[str, Hook]) -> None:
        is_changed = hooks.keys() != self._hooks.keys()
        self._hooks = hooks
        if is_changed:
            self.changed.set()

    async def _add(self, hook: Hook) -> None:
        async with self._one:
            await asyncio.to_thread(self._store.add, hook)
            self._become({**self._hooks, hook.id: hook})

    async def _remove(self, hook_id: str) -> None:
        async with self._one:
            await asyncio.to_thread(self._store.remove, hook_id)
            self._become({each: self._hooks[each] for each in self._hooks if each != hook_id})
