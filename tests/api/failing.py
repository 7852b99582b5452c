"""Commits that fail: what an interrupted request leaves behind."""

from typing import Any

import pytest

from asset_ledger.ledger.commit.committer import Committer
from asset_ledger.ledger.commit.requests import Committed


def fail_commits(patch: pytest.MonkeyPatch, after: int) -> None:
    """Let every commit fail once this many commands were recorded."""
    commit, recorded = Committer.commit, 0

    async def cut_short(*arguments: Any, **named: Any) -> Committed | None:
        nonlocal recorded
        if recorded == after:
            raise ConnectionError("the power went out")
        recorded += 1
        return await commit(*arguments, **named)

    patch.setattr(Committer, "commit", cut_short)
