"""`asset-ledger witness`: remember a log's checkpoint, and detect that its history changed."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from asset_ledger.api.cli.options import TOKEN, check_address
from asset_ledger.api.cli.output import echo

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
    help="The file that keeps the last checkpoint.",
)
@click.option("--key", help="The verifier key of the log; needed once.")
@click.option(
    "--trust-on-first-use",
    "trusting",
    is_flag=True,
    help="Without a kept key, trust the key that the server sends.",
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
    """Check that the log at URL only grew since the last checkpoint.

    Accepts a rotated key that the kept key has signed. Exit code 1 when the log was forked, or
    signed by another key: both checkpoints are printed then, as evidence.
    """
    from asset_ledger.api.cli.remote import Remote
    from asset_ledger.ledger.errors import ProofError
    from asset_ledger.ledger.merkle.checkpoint import open_checkpoint, read_checkpoint
    from asset_ledger.ledger.merkle.key import read_verifier_key

    remote = Remote(url, token)
    saved = (
        orjson.loads(state.read_bytes()) if state.exists() else {"key": None, "checkpoint": None}
    )
    kept = key or saved["key"] or (_first_key(remote) if trusting else None)
    if kept is None:
        raise click.UsageError(
            "--key is needed once: asset-ledger key list prints it"
            " (or give --trust-on-first-use, which trusts the key that the server sends)"
        )
    read_verifier_key(kept)
    note = remote.text("/api/log/checkpoint")
    try:
        in_force = _key_after(remote, kept, read_checkpoint(note).size)
        new = open_checkpoint(note, in_force)
        _check_grown(remote, saved["checkpoint"], note)
    except ProofError as error:
        if saved["checkpoint"] is None:
            raise  # the given key may be a wrong one
        for text in (f"FORKED: {error}", "", saved["checkpoint"], note):
            for line in text.splitlines() or [""]:
                echo(line)
        context.exit(FORKED)
    _keep(state, {"key": in_force, "checkpoint": note})
    if in_force != kept:
        echo(f"the log's key was rotated, and the kept key signed the new one: {in_force}")
    result = f"saved its first checkpoint to {state}"
    if saved["checkpoint"] is not None:
        result = f"the {read_checkpoint(saved['checkpoint']).size:,} seen before are unchanged"
    echo(f"{new.origin} has {new.size:,} events; {result}")


def _first_key(remote: "Remote") -> str:
    """Return the newest key that the server sends, without any check."""
    key: str = remote.get("/api/log/key")["keys"][-1]["key"]
    echo(f"trusted on first use: {key}")
    return key


def _key_after(remote: "Remote", kept: str, size: int) -> str:
    """Follow the rotations from the kept key to the key of this log size. Raises ProofError."""
    import base64

    from asset_ledger.ledger.merkle.succession import key_after

    _, *rotated = remote.get("/api/log/key")["keys"]
    leaves = [base64.b64decode(each["leaf"]) for each in rotated if each["since"] <= size]
    return key_after(kept, leaves)


def _check_grown(remote: "Remote", seen: str | None, note: str) -> None:
    """Raise ProofError unless the log of checkpoint `note` extends that of checkpoint `seen`."""
    from asset_ledger.ledger.errors import ParameterError, ProofError
    from asset_ledger.ledger.merkle.checkpoint import read_checkpoint
    from asset_ledger.ledger.merkle.tree import check_consistency

    if seen is None:
        return
    old, new = read_checkpoint(seen), read_checkpoint(note)
    if old.origin != new.origin:
        raise ProofError(f"it is the log {new.origin} now, and was {old.origin}")
    if new.size < old.size:
        raise ProofError(f"it has {new.size:,} events now, and had {old.size:,}")
    try:
        path = _path(remote, old.size, new.size)
    except ParameterError as error:
        raise ProofError(f"the server has no consistency proof for it: {error}") from error
    check_consistency(old.size, new.size, old.root, new.root, path)


def _path(remote: "Remote", first: int, second: int) -> list[bytes]:
    import base64

    proof: dict[str, Any] = remote.get(f"/api/log/proof?first={first}&second={second}")
    return [base64.b64decode(hashed) for hashed in proof["path"]]


def _keep(state: Path, kept: dict[str, Any]) -> None:
    """Replace the file in one step, so that a kill leaves the old or the new state."""
    draft = state.with_name(f"{state.name}.draft")
    with draft.open("wb") as file:
        file.write(orjson.dumps(kept, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(state)
