"""The connections of a server: their number, and how long each may idle, stall or keep its rights.

A sweep looks at all of them once a second. Promise: no client keeps a connection or memory longer
than these limits allow, and a new client always gets a connection while another one idles.
"""

import asyncio
from collections import Counter
from itertools import chain
from typing import Final, NamedTuple, Protocol

from asset_ledger.api.http.request_ids import RequestIds
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.errors import BusyError
from asset_ledger.ledger.storage import descriptors

SWEEP: Final = 1.0
"""Seconds between two looks at all connections, at most."""

HEAD_TIMEOUT: Final = 20.0
"""Seconds that a client has to send the head of a request."""

RECHECK: Final = 2.0
"""Seconds after which the token of a request under way is checked again."""

MIN_CONNECTIONS: Final = 16

REASONS: Final = ("full", "idle", "head", "slow", "unread", "revoked")
"""Why the server closed connections, for the metrics."""


class Limits(NamedTuple):
    """Connections in all; seconds to idle and to stall; bytes a second; unread bytes in all."""

    connections: int
    per_user: int
    idle: float
    stall: float
    rate: int
    unread: int

    @classmethod
    def of(cls, settings: Settings, stall: float | None) -> "Limits":
        """Return the limits of these settings. Each connection may need a descriptor for a file."""
        room = max(MIN_CONNECTIONS, (descriptors.limit() - descriptors.RESERVED) // 2)
        connections = min(settings.max_connections, room)
        return cls(
            connections,
            connections if settings.auth == "local" else max(1, connections // 2),
            settings.idle_timeout,
            settings.stall_timeout if stall is None else stall,
            settings.min_rate,
            settings.unread_memory,
        )


class Connection(Protocol):
    """What this module needs of a connection.

    `since`: when it was made, was answered, or began to send a head; `credit`: the seconds that
    its client may still stall; `owed`: the bytes that it had not read when it was last looked at;
    `held`: the memory of its answer, which may be longer: it is free once all of it is read.
    """

    since: float
    credit: float
    owed: int
    held: int
    user: str | None

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way."""

    @property
    def has_partial_head(self) -> bool:
        """Whether the next request has begun, or was never complete."""

    def unread(self) -> int:
        """Return how many bytes the client has not read."""

    def has_rights(self, now: float) -> bool:
        """Whether the token of the request under way was valid within `RECHECK`."""

    def is_allowed(self) -> bool:
        """Whether the token of the request under way is valid now."""

    def end(self) -> None:
        """Close the connection, without waiting for a client that does not read."""


class Connections:
    """All connections of one server. For the event loop. `is_leaving`: the server is stopping."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.ids = limits, RequestIds()
        self.all: dict[Connection, None] = {}
        self.unread_bytes = 0
        self.is_leaving = False
        self.closed: Counter[str] = Counter()
        self._strangers: dict[Connection, None] = {}
        self._idle: dict[Connection, None] = {}
        self._paused: dict[Connection, None] = {}
        self._busy: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, new: Connection) -> bool:
        """Note a new connection. Return whether there is room; an idle one is closed for it."""
        self._schedule()
        if len(self.all) >= self.limits.connections:
            oldest = next(chain(self._strangers, self._idle), None)
            if oldest is None:
                self.closed["full"] += 1
                return False
            self.end(oldest, "full")
        self.all[new] = self._strangers[new] = None
        new.since = asyncio.get_running_loop().time()
        return True

    def remove(self, lost: Connection) -> None:
        """Forget a connection that was lost or ended."""
        self.resume(lost)
        self.finish(lost)
        for known in (self.all, self._strangers, self._idle):
            known.pop(lost, None)

    def begin(self, connection: Connection) -> None:
        """Note that a request is under way."""
        self._strangers.pop(connection, None)
        self._idle.pop(connection, None)

    def admit(self, connection: Connection, user: str) -> None:
        """Note the user of the request under way. Raises BusyError above the user's share."""
        if connection not in self.all:  # lost meanwhile: `finish` would never give the share back
            return
        if self._busy[user] >= self.limits.per_user:
            raise BusyError(
                f"this user has {self.limits.per_user:,} requests under way, half of what the"
                " server takes: wait for their answers",
                "requests-of-a-user",
            )
        self._busy[user] += 1
        connection.user = user

    def finish(self, connection: Connection) -> None:
        """Note that a request was answered. Clients with a valid token are kept the longest."""
        if connection not in self.all:
            return
        user, connection.user = connection.user, None
        (self._strangers if user is None else self._idle)[connection] = None
        if user is not None:
            self._busy[user] -= 1
            if not self._busy[user]:
                del self._busy[user]
        connection.since = asyncio.get_running_loop().time()

    def pause(self, connection: Connection) -> None:
        """Note a client that reads more slowly than it is answered.

        If all of them leave too much unread, the one that has read nothing for the longest time
        is closed.
        """
        connection.owed = connection.unread()
        connection.held = max(connection.held, connection.owed)
        self._paused[connection] = None
        self.unread_bytes += connection.held
        while self.unread_bytes > self.limits.unread and len(self._paused) > 1:
            self.end(next(iter(self._paused)), "unread")

    def resume(self, connection: Connection) -> None:
        """Note a client that has read everything."""
        if connection in self._paused:
            del self._paused[connection]
            self.unread_bytes -= connection.held
            connection.credit = self.limits.stall

    def end(self, connection: Connection, reason: str) -> None:
        """Close a connection."""
        self.closed[reason] += 1
        self.remove(connection)
        connection.end()

    def end_revoked(self) -> None:
        """Close the connections whose request under way has lost its token, but answer first the
        request that revoked its own."""
        asyncio.get_running_loop().call_soon(self._end_revoked)

    def _end_revoked(self) -> None:
        for connection in [*self.all]:
            if not connection.is_waiting and not connection.is_allowed():
                self.end(connection, "revoked")

    def stop(self) -> None:
        """Look at connections no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if self._timer is None:
            self._delay = min(SWEEP, self.limits.stall / 4)
            self._timer = asyncio.get_running_loop().call_later(self._delay, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection in [*self.all]:
            reason = self._reason(connection, now)
            if reason is not None:
                self.end(connection, reason)
        if self.all:
            self._schedule()

    def _reason(self, connection: Connection, now: float) -> str | None:
        """Return why to close a connection now; None to leave it open."""
        if connection in self._paused and self._stalls(connection):
            return "slow"
        if not connection.is_waiting:
            return None if connection.has_rights(now) else "revoked"
        if connection.has_partial_head:
            return "head" if now - connection.since > HEAD_TIMEOUT else None
        return "idle" if now - connection.since > self.limits.idle else None

    def _stalls(self, connection: Connection) -> bool:
        """Count what a client has read since the last look; return whether its credit is used up.

        A second costs a second, and a byte that was read gives its share of one back.
        """
        before, connection.owed = connection.owed, connection.unread()
        gained = (before - connection.owed) / self.limits.rate
        connection.credit = min(self.limits.stall, connection.credit - self._delay + gained)
        return connection.credit <= 0
