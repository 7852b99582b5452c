"""An audit bundle: a zip of one job's events, their proof, their contents and a verifier.

verify.py       the verifier, which needs only Python's standard library
proof.json      the proof object: checkpoint, key, and every event with its inclusion proof
manifest.json   the job, and the digests of contents that are left out
prov.json       the job as W3C PROV-JSON, for readers: the proof does not cover it
files/<sha256>  the contents, each version once
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
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

_VERIFIER: Final = Path(__file__).with_name("verify.py")


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


def write_bundle(output: Path, job_id: str, proof: Mapping[str, Any], read: Read) -> BundleSummary:
    """Write the bundle of a job. `proof` has all of its events.

    Only its owner can read it. Raises ProofError for a proof that does not hold, before anything is
    written, and ContentDamagedError, which removes what was written.
    """
    check_proof(proof, proof["key"])
    events = [_recorded(proven) for proven in proof["events"]]
    user_id = next(each.event.user_id for each in events if isinstance(each.event, TaggedEvent))
    record = JobRecord(user_id, job_id)
    record.add(events)
    log_id = proof["key"].partition("+")[0].rpartition("/")[2]
    with open_private(output) as file, ZipFile(file, "w", ZIP_DEFLATED) as bundle:
        absent = _write_files(bundle, events, read)
        manifest = {"format": FORMAT, "job_id": job_id, "user_id": user_id, "absent": absent}
        bundle.write(_VERIFIER, "verify.py")
        bundle.writestr("proof.json", orjson.dumps(proof))
        bundle.writestr("manifest.json", orjson.dumps(manifest))
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
    name = f"files/{content.digest.removeprefix('sha256:')}"
    with bundle.open(name, "w", force_zip64=True) as file:
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


def _recorded(proven: Mapping[str, Any]) -> Recorded:
    """Decode the event in a leaf. Raises PoisonEventError."""
    stream, version, topic, state = parts(base64.b64decode(proven["leaf"]))
    position = proven["position"]
    return Codec().decode(
        Notification(stream.decode(), int(version), topic.decode(), state, position)
    )
