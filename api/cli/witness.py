"""`asset-ledger witness`: somebody who remembers what a log once said, and notices when it says
otherwise."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from api.cli.options import TOKEN

if TYPE_CHECKING:
    from api.cli.remote import Remote

FORKED = 1


@click.command()
@click.argument("url")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("witness.json"),
    show_default=True,
    help="Where the last checkpoint is kept.",
)
@click.option("--key", help="The verifier key of the log (needed once).")
@TOKEN
@click.pass_context
def witness(
    context: click.Context, url: str, state: Path, key: str | None, token: str | None
) -> None:
    """Fetch a checkpoint of the log at URL, and check that it only grew since the last one.

    Exit code 1 when it was forked: both checkpoints are printed then, which nobody can deny.
    """
    from api.cli.remote import Remote
    from ledger.errors import ProofError
    from ledger.merkle.checkpoint import open_checkpoint

    remote = Remote(url, token)
    known = orjson.loads(state.read_bytes()) if state.exists() else {"key": key, "checkpoint": None}
    if key is not None:
        known["key"] = key  # it was rotated: whoever calls has checked that
    if known["key"] is None:
        raise click.UsageError("--key is needed once: asset-ledger key list prints it")
    note = b"".join(remote.lines("/api/log/checkpoint")).decode()
    new = open_checkpoint(note, known["key"])
    try:
        _check_grown(remote, known["checkpoint"], note)
    except ProofError as error:
        click.echo(f"FORKED: {error}\n\n{known['checkpoint']}\n{note}", nl=False)
        context.exit(FORKED)
    _keep(state, {"key": known["key"], "checkpoint": note})
    click.echo(f"{new.origin} has {new.size:,} facts, and begins with all that was seen before")


def _check_grown(remote: "Remote", seen: str | None, note: str) -> None:
    """Raises ProofError unless the log of this note begins with the one that was seen."""
    from ledger.errors import ParameterError, ProofError
    from ledger.merkle.checkpoint import read_checkpoint
    from ledger.merkle.tree import check_consistency

    if seen is None:
        return
    old, new = read_checkpoint(seen), read_checkpoint(note)
    if old.origin != new.origin:
        raise ProofError(f"it is {new.origin} now, and was {old.origin}")
    if new.size < old.size:
        raise ProofError(f"it has {new.size:,} facts now, and had {old.size:,}")
    try:
        path = _path(remote, old.size, new.size)
    except ParameterError as error:
        raise ProofError(f"it gives no path to what it has now: {error}") from error
    check_consistency(old.size, new.size, old.root, new.root, path)


def _path(remote: "Remote", first: int, second: int) -> list[bytes]:
    import base64

    proof: dict[str, Any] = remote.get(f"/api/log/proof?first={first}&second={second}")
    return [base64.b64decode(hashed) for hashed in proof["path"]]


def _keep(state: Path, known: dict[str, Any]) -> None:
    """Replace the file in one step: a witness that was killed has not forgotten."""
    draft = state.with_name(f"{state.name}.draft")
    with draft.open("wb") as file:
        file.write(orjson.dumps(known, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(state)
