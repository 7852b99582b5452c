"""`asset-ledger watch`: record what another program makes, as it makes it."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import click
import orjson

from asset_ledger.api.cli.options import JSON, LEDGER, Where, is_address
from asset_ledger.api.cli.output import Notes, echo

if TYPE_CHECKING:
    from asset_ledger.api.imports.comfyui.recording import PromptRecorder
    from asset_ledger.api.imports.comfyui_watch import ComfyServer, ComfyWatch
    from asset_ledger.api.sdk.gateway import Gateway

INCOMPLETE = 1
NOT_RECORDED = "not recorded"

PAUSE: Final = 2.0
"""Seconds between two attempts to reach ComfyUI or the ledger."""


def _check_address(_: click.Context, __: click.Parameter, text: str) -> str:
    if not is_address(text):
        raise click.BadParameter(f"{text!r} is not an address: write it as http://127.0.0.1:8188")
    return text


def _print_node(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from asset_ledger.api.imports.comfyui_node import node_file

        click.echo(node_file(), nl=False)
        context.exit()


@click.group()
def watch() -> None:
    """Record what another program makes, until Ctrl-C."""


@watch.command()
@click.argument("address", metavar="URL", default="http://127.0.0.1:8188", callback=_check_address)
@click.option("--once", is_flag=True, help="Record the history as it is now, and exit.")
@click.option(
    "--print-node",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_node,
    help="Print a custom node, one file, that records from inside of ComfyUI, and exit.",
)
@LEDGER
@JSON
def comfyui(address: str, *, once: bool, as_json: bool, where: Where) -> None:
    """Record each output of every prompt that the ComfyUI at URL finishes.

    A prompt becomes a job with its graph as parameters; a failed one becomes a failed job. What
    ComfyUI's history has already is recorded first. Repeated, the command records nothing new.
    Waits while ComfyUI or the ledger cannot be reached. Exit code 1 when a file was not recorded.
    """
    from asset_ledger.api.imports.comfyui_watch import ComfyServer, ComfyWatch

    outcomes = WatchOutcomes(as_json=as_json)
    server = ComfyServer(address)
    with _interruptible(), _recorder(where, server, outcomes) as recorder:
        following = ComfyWatch(server, recorder, outcomes.note)
        try:
            with suppress(KeyboardInterrupt):
                _watch(following, outcomes, once=once)
        finally:
            outcomes.note(
                f"{following.recorded:,} prompts, {outcomes.counts['new']:,} files recorded"
            )
    if outcomes.counts[NOT_RECORDED]:
        click.get_current_context().exit(INCOMPLETE)


def _watch(following: "ComfyWatch", outcomes: "WatchOutcomes", *, once: bool) -> None:
    from asset_ledger.api.imports.comfyui_watch import ComfyUnreachableError
    from asset_ledger.ledger.errors import UnavailableError

    while True:
        try:
            following.catch_up() if once else following.follow()
        except (ComfyUnreachableError, UnavailableError) as error:
            if once:
                raise click.ClickException(str(error)) from error
            outcomes.wait(str(error))
            time.sleep(PAUSE)
        else:
            return


@contextmanager
def _recorder(
    where: Where, server: "ComfyServer", outcomes: "WatchOutcomes"
) -> "Iterator[PromptRecorder]":
    """Open the ledger, and yield a recorder that reads files from the server."""
    from asset_ledger.api.cli.ledger import open_ledger
    from asset_ledger.api.imports.comfyui.recording import PromptRecorder
    from asset_ledger.api.imports.comfyui_ledger import GatewayLedger
    from asset_ledger.api.sdk.portal import run

    opening, context = open_ledger(where, creates=True), click.get_current_context()

    async def opened() -> "Gateway":
        with context.scope(cleanup=False):  # the thread of `run` has no context of its own
            return await opening.__aenter__()

    gateway = run(opened())
    try:
        yield PromptRecorder(GatewayLedger(gateway), server.file, outcomes.report)
    finally:
        server.close()
        run(opening.__aexit__(None, None, None))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class WatchOutcomes(Notes):
    """Prints a line for each file and prompt, and on standard error what else happened."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.counts = Counter[str]()

    def report(self, outcome: str, name: str, text: str) -> None:
        """Print the outcome for a file or a prompt."""
        self.counts[outcome] += 1
        if outcome in (NOT_RECORDED, "times"):
            self.note(f"{outcome}: {name}: {text}" if name else f"{outcome} {text}")
        elif self._as_json:
            echo(orjson.dumps({"outcome": outcome, "name": name, "text": text}))
        else:
            echo(f"{outcome:<9}  {name}  {text}".rstrip())
