"""`asset-ledger mcp`: read-only tools for agents, on standard input and output."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Final

import click

from asset_ledger.api.cli.options import LEDGER, Where, folder_of
from asset_ledger.api.cli.output import echo
from asset_ledger.ledger.errors import FolderLockedError, LedgerError

if TYPE_CHECKING:
    from asset_ledger.api.agents.tools import Access
    from asset_ledger.api.sdk.gateway import Gateway

PATIENCE: Final = 5.0
"""Seconds that a call waits for a data folder that is in use."""


@click.command()
@LEDGER
def mcp(where: Where) -> None:
    """Serve tools that only read the ledger to an agent, over MCP.

    The agent's program starts this command, and talks to it on standard input and output. A data
    folder is open during a call only; a server that has it answers instead.
    """
    if not (find_spec("mcp") and find_spec("mcp_types")):  # version 1 lacks the second
        raise click.ClickException(
            "asset-ledger mcp needs version 2 of the package mcp: pip install 'asset-ledger[mcp]'"
        )
    from asset_ledger.api.agents.server import serve_tools

    if sys.stdin.isatty():
        echo(
            "asset-ledger mcp waits for an agent's program to talk to it: Ctrl-C ends it", err=True
        )
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a thread that reads a terminal never ends
    asyncio.run(serve_tools(lambda: _opened(where)))


@asynccontextmanager
async def _opened(where: Where) -> AsyncIterator["Access"]:
    from asset_ledger.api.agents.tools import Access
    from asset_ledger.api.cli.ledger import address_of

    try:
        async with AsyncExitStack() as stack:
            gateway = await _entered(where, stack)
            url = where.url or address_of(folder_of(where.data_dir))
            yield Access(gateway, url.rstrip("/") if url else None)
    except click.ClickException as error:
        raise LedgerError(error.format_message()) from error


async def _entered(where: Where, stack: AsyncExitStack) -> "Gateway":
    """Open the ledger; wait for a folder that another command, or another agent, has for a call."""
    from asset_ledger.api.cli.ledger import open_ledger

    deadline = monotonic() + PATIENCE
    while True:
        try:
            return await stack.enter_async_context(open_ledger(where))
        except FolderLockedError:
            if monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
