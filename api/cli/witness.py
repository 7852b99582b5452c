"""`asset-ledger witness`: somebody who remembers what a log once said, and notices when it says
otherwise."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from asset_ledger.api.cli.options import TOKEN, check_address

if TYPE_CHECKING:
    from asset_ledger.api.cli.remote import Remote

FORKED = 1


@click.command()
@click.argument("url", callback=check_address)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("witness.json"),
    show_default=True,
    help="Where the last checkpoint is kept.",
)
@click.option("--key", help="The verifier key of the log (needed once).")
@click.option(
    "--trust-on-first-use",
    "trusting",
    is_flag=True,
    help="Where no key is kept yet, believe the one that the server names.",
)
@TOKEN
@click.pass_context
def witness(
    context: click.Context,
    url: str,
    state: Path,
    key: str | None,
    trusting: bool,
    token: str | None,
) -> None:
    """Fetch a checkpoint of the log at URL, and check that it only grew since the last one.

    A key that was rotated is followed, if the one that is kept signed that. Exit code 1 when the
    log was forked: both checkpoints are printed then, which nobody can deny.
    """
    from asset_ledger.api.cli.remote import Remote
    from asset_ledger.ledger.errors import ProofError
    from asset_ledger.ledger.merkle.checkpoint import open_checkpoint, read_checkpoint
    from asset_ledger.ledger.merkle.key import read_verifier_key

    remote = Remote(url, token)
    known = (
        orjson.loads(state.read_bytes()) if state.exists() else {"key": None, "checkpoint": None}
    )
    kept = key or known["key"] or (_believed(remote) if trusting else None)
    if kept is None:
        raise click.UsageError(
            "--key is needed once: asset-ledger key list prints it"
            " (or --trust-on-first-use, which believes whoever answers)"
        )
    read_verifier_key(kept)
    note = remote.text("/api/log/checkpoint")
    in_force = _key_after(remote, kept, read_checkpoint(note).size)
    new = open_checkpoint(note, in_force)
    try:
        _check_grown(remote, known["checkpoint"], note)
    except ProofError as error:
        click.echo(f"FORKED: {error}\n\n{known['checkpoint']}\n{note}", nl=False)
        context.exit(FORKED)
    _keep(state, {"key": in_force, "checkpoint": note})
    if in_force != kept:
        click.echo(f"the key that was kept has signed its successor: {in_force}")
    click.echo(f"{new.origin} has {new.size:,} events, and begins with all that was seen before")


def _believed(remote: "Remote") -> str:
    """The newest key that the server names, of whom nobody knows more."""
    key: str = remote.get("/api/log/key")["keys"][-1]["key"]
    click.echo(f"believed at first sight: {key}")
    return key


def _key_after(remote: "Remote", kept: str, size: int) -> str:
    """The key that signs a log of this size, to which the kept one leads. Raises ProofError."""
    import base64

    from asset_ledger.ledger.merkle.succession import key_after

    _, *rotated = remote.get("/api/log/key")["keys"]
    leaves = [base64.b64decode(each["leaf"]) for each in rotated if each["since"] <= size]
    return key_after(kept, leaves)


def _check_grown(remote: "Remote", seen: str | None, note: str) -> None:
    """Raises ProofError unless the log of this note begins with the one that was seen."""
    from asset_ledger.ledger.errors import ParameterError, ProofError
    from asset_ledger.ledger.merkle.checkpoint import read_checkpoint
    from asset_ledger.ledger.merkle.tree import check_consistency

    if seen is None:
        return
    old, new = read_checkpoint(seen), read_checkpoint(note)
    if old.origin != new.origin:
        raise ProofError(f"it is {new.origin} now, and was {old.origin}")
    if new.size < old.size:
        raise ProofError(f"it has {new.size:,} events now, and had {old.size:,}")
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
