"""The tool `verify`: check the events of a job or an asset against the signed log, and its files.

It trusts the key that the ledger sends. A check without that trust is the audit bundle.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from asset_ledger.api.agents.answers import chosen, packed
from asset_ledger.api.agents.arguments import VerifyArguments
from asset_ledger.api.agents.tools import Access
from asset_ledger.api.export.verify import Event, event_of, wrong_with_job
from asset_ledger.api.sdk.gateway import Document
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    ContentCollectedError,
    ContentDamagedError,
    DigestMismatchError,
    ProofError,
    RefusedError,
)
from asset_ledger.ledger.merkle.proof import check_proof

MAX_BYTES: Final = 256 * 1024 * 1024
"""Bytes of files that one call reads."""

MAX_ASSETS: Final = 10_000
"""Assets of a job that one call checks: the proof of each event is about 2 KB."""


async def verify(access: Access, given: VerifyArguments) -> str:
    """Return whether the events of a job or an asset are proven, and its files are unchanged."""
    if (given.job_id is None) == (given.asset_id is None):
        raise RefusedError("name either a job_id or an asset_id")
    if given.job_id is None:
        return await _report(access, await access.gateway.prove([str(given.asset_id)]))
    found = await access.gateway.job(given.job_id)
    if found["assets"] > MAX_ASSETS:
        raise RefusedError(
            f"job {given.job_id} has {found['assets']:,} assets, too many for one call:"
            " run asset-ledger audit-bundle, and its verify.py"
        )
    return await _report(access, await access.gateway.job_proof(given.job_id), found)


async def _report(access: Access, proof: Document, job: Document | None = None) -> str:
    try:
        checkpoint, proven = check_proof(proof, proof["key"])
    except ProofError as error:
        return packed({"holds": False, "wrong": [str(error)]})
    events = [event_of(each.position, each.leaf) for each in proven]
    wrong = [*(_wrong_with(events) if job is None else wrong_with_job(_whole(job), events))]
    files = await _files(access, events, wrong)
    report = {"holds": not wrong, "events": len(events), "files": files}
    signed = {"log_size": checkpoint.size, "root": checkpoint.root.hex(), "key": proof["key"]}
    return packed({**report, **chosen({"wrong": wrong}, ["wrong"], 1_000), **signed})


def _whole(job: Document) -> dict[str, Any]:
    return {**job, "attempt": None}


def _wrong_with(events: Sequence[Event]) -> Iterator[str]:
    """Yield why these are not all events of one asset."""
    if len({each.stream for each in events}) != 1:
        yield "the events are not all of one asset"
    if [each.version for each in events] != list(range(1, len(events) + 1)):
        yield "the versions of the asset are not 1, 2, 3 ... without a hole"


async def _files(access: Access, events: Iterable[Event], wrong: list[str]) -> dict[str, int]:
    """Read each file once, as long as there is room. Add what differs to `wrong`."""
    left, files = MAX_BYTES, {"checked": 0, "bytes": 0, "deleted": 0, "not_read": 0}
    holders = {each.state["digest"]: each for each in events if each.state.get("digest")}
    for digest, event in holders.items():
        size = event.state["size"]
        if size > left:
            files["not_read"] += 1
            continue
        left -= size
        try:
            found = await _digest(access, event)
        except (AssetDeletedError, ContentCollectedError):
            files["deleted"] += 1
            continue
        except (ContentDamagedError, DigestMismatchError) as error:
            found = str(error)
        files["checked"] += 1
        files["bytes"] += size
        if found != digest:
            wrong.append(f"version {event.version} of asset {event.stream}: its bytes are {found}")
    return files


async def _digest(access: Access, event: Event) -> str:
    hashed = hashlib.sha256()
    async for piece in access.gateway.chunks(event.stream.replace("-", ""), event.version):
        hashed.update(piece)
    return f"sha256:{hashed.hexdigest()}"
