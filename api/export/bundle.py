"""An audit bundle: a zip of the events of a job or of one attempt, their proof, their contents and
a verifier.

verify.py       the verifier, which needs only Python's standard library
proof.json      the proof object: checkpoint, key, and every event with its inclusion proof
manifest.json   the job, the attempt or null, and the digests of contents that are left out
prov.json       the job as W3C PROV-JSON, for readers: the proof does not cover it
files/<sha256>  the contents, each version once
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

import orjson
from eventsourcing.persistence import Notification

from asset_ledger.api.export.files import open_private
from asset_ledger.api.export.prov import prov_json
from asset_ledger.api.export.verify import parts
from asset_ledger.ledger.domain.asset import content_of
from asset_ledger.ledger.domain.event import Recorded, TaggedEvent
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    ContentCollectedError,
    ContentDamagedError,
)
from asset_ledger.ledger.ids import Digest, digest_from_hex
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.merkle.proof import check_proof

FORMAT: Final = "asset-ledger-bundle/1"

VERIFIER: Final = Path(__file__).with_name("verify.py")


class AssetContent(NamedTuple):
    """A content, and the version of an asset that has it."""

    asset_id: str
    version: int
    digest: Digest


Read = Callable[[AssetContent], Iterable[bytes]]
"""Reads a content in pieces. Raises AssetDeletedError if it cannot be read any more."""


class BundleSummary(NamedTuple):
    """Numbers of events and files in a bundle, and the digests that it lacks."""

    events: int
    files: int
    absent: list[Digest]


def write_bundle(
    output: Path, job_id: str, proof: Mapping[str, Any], read: Read, attempt: int | None = None
) -> BundleSummary:
    """Write the bundle of a job, or of one attempt. `proof` has all of its events.

    Only its owner can read it. Raises ProofError for a proof that does not hold, before anything is
    written, and ContentDamagedError, which removes what was written.
    """
    check_proof(proof, proof["key"])
    events = [
        recorded(base64.b64decode(proven["leaf"]), proven["position"]) for proven in proof["events"]
    ]
    user_id = next(each.event.user_id for each in events if isinstance(each.event, TaggedEvent))
    record = JobRecord(user_id, job_id, attempt)
    record.add(events)
    log_id = proof["key"].partition("+")[0].rpartition("/")[2]
    with open_private(output) as file, ZipFile(file, "w", ZIP_DEFLATED) as bundle:
        absent = _write_files(bundle, events, read)
        bundle.write(VERIFIER, "verify.py")
        bundle.writestr("proof.json", orjson.dumps(proof))
        bundle.writestr("manifest.json", orjson.dumps(manifest(job_id, user_id, absent, attempt)))
        bundle.writestr("prov.json", orjson.dumps(prov_json(record, log_id)))
    return BundleSummary(len(events), len({each.digest for each in _contents(events)}), absent)


def _write_files(bundle: ZipFile, events: list[Recorded], read: Read) -> list[Digest]:
    """Write each content once. Return the digests of contents that cannot be read."""
    holders: dict[Digest, list[AssetContent]] = {}
    for content in _contents(events):
        holders.setdefault(content.digest, []).append(content)
    return [
        digest
        for digest, contents in holders.items()
        if not any(_write_file(bundle, content, read) for content in contents)
    ]


def _write_file(bundle: ZipFile, content: AssetContent, read: Read) -> bool:
    pieces, hashed = iter(read(content)), hashlib.sha256()
    try:
        first = next(pieces, b"")
    except (AssetDeletedError, ContentCollectedError):
        return False
    with bundle.open(content_path(content.digest), "w", force_zip64=True) as file:
        for piece in chain([first], pieces):
            hashed.update(piece)
            file.write(piece)
    if digest_from_hex(hashed.hexdigest()) != content.digest:
        raise ContentDamagedError(content.digest, "it has other bytes now")
    return True


def _contents(events: Iterable[Recorded]) -> Iterator[AssetContent]:
    for _, event in events:
        if (digest := content_of(event)) is not None:
            yield AssetContent(event.originator_id, event.originator_version, digest)


def manifest(
    job_id: str, user_id: str, absent: Sequence[Digest], attempt: int | None
) -> dict[str, Any]:
    """Return the manifest of a bundle, of one attempt or all, that lacks some contents."""
    job = {"job_id": job_id, "user_id": user_id, "attempt": attempt}
    return {"format": FORMAT, **job, "absent": absent}


def content_path(digest: Digest) -> str:
    """Return the name of a content in a bundle."""
    return f"files/{digest.removeprefix('sha256:')}"


def recorded(leaf: bytes, position: int) -> Recorded:
    """Decode the event in a leaf. Raises PoisonEventError."""
    stream, version, topic, state = parts(leaf)
    return Codec().decode(
        Notification(stream.decode(), int(version), topic.decode(), state, position)
    )
