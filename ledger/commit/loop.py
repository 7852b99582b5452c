"""The loop of a worker, in a thread or a process: commit one group while the next gathers."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from asset_ledger.ledger.commit.group_commit import GroupCommit
from asset_ledger.ledger.commit.requests import GroupResult, Request

TURN_SECONDS: Final = 1.0
"""Seconds between two turns of tables that fell behind, while no request comes. The result of each
is delivered: it shows the server that the worker lives."""

Gather = Callable[[float], Sequence[Request] | None]
"""Wait at most so many seconds for requests. Return those that wait; None when there are no more
to come."""


def commit_groups(
    group_commit: GroupCommit, gather: Gather, deliver: Callable[[GroupResult], None]
) -> None:
    """Commit groups until the requests end. The first result reports that the files are open."""
    deliver(group_commit.result())
    due = time.monotonic() + TURN_SECONDS
    while (group := gather(_timeout(group_commit, due))) is not None:
        if group:
            deliver(group_commit.run(group))
        if group_commit.is_working or time.monotonic() >= due:
            due = time.monotonic() + TURN_SECONDS
            deliver(group_commit.turn())


def _timeout(group_commit: GroupCommit, due: float) -> float:
    return 0.0 if group_commit.is_working else max(0.0, due - time.monotonic())
