"""An audit bundle: one job's events with their proof, the files that they name, and the program that
checks it all without us.

    verify.py       nothing but Python's standard library
    proof.json      the proof object: checkpoint, key, and every event with its path
    manifest.json   which job, and which files are not in here
    prov.json       the job as W3C PROV-JSON, to be read: it is not covered by the proof
    files/<sha256>  the contents, each version once
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

import orjson
from eventsourcing.persistence import Notification

from asset_ledger.api.export.prov import prov_json
from asset_ledger.api.export.verify import parts
from asset_ledger.ledger.domain.asset import content_of
from asset_ledger.ledger.domain.event import Recorded, TaggedEvent
from asset_ledger.ledger.domain.job_record import JobRecord
from asset_ledger.ledger.errors import AssetDeletedError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.merkle.proof import check_proof

FORMAT: Final = "asset-ledger-bundle/1"

_VERIFIER: Final = Path(__file__).with_name("verify.py")


class Named(NamedTuple):
    """A content, and an asset that had it at one of its versions."""

    asset_id: str
    version: int
    digest: Digest


Read = Callable[[Named], Iterable[bytes]]
"""How a content is read, piece by piece; AssetDeletedError where it is not given out any more."""


class Bundled(NamedTuple):
    """What went into a bundle."""

    events: int
    files: int
    absent: list[Digest]


def write_bundle(output: Path, job_id: str, proof: Mapping[str, Any], read: Read) -> Bundled:
    """Write the bundle of a job, whose every event this proof has.

    Raises ProofError for a proof that does not hold: nobody is handed a bundle that fails.
    """
    check_proof(proof, proof["key"])
    events = [_recorded(proven) for proven in proof["events"]]
    user_id = next(each.event.user_id for each in events if isinstance(each.event, TaggedEvent))
    record = JobRecord(user_id, job_id)
    record.add(events)
    log_id = proof["key"].partition("+")[0].rpartition("/")[2]
    with ZipFile(output, "w", ZIP_DEFLATED) as bundle:
        absent = _write_files(bundle, events, read)
        manifest = {"format": FORMAT, "job_id": job_id, "user_id": user_id, "absent": absent}
        bundle.write(_VERIFIER, "verify.py")
        bundle.writestr("proof.json", orjson.dumps(proof))
        bundle.writestr("manifest.json", orjson.dumps(manifest))
        bundle.writestr("prov.json", orjson.dumps(prov_json(record, log_id)))
    return Bundled(len(events), len({named.digest for named in _named(events)}), absent)


def _write_files(bundle: ZipFile, events: list[Recorded], read: Read) -> list[Digest]:
    """Write each content once; those that nobody gives out."""
    places: dict[Digest, list[Named]] = {}
    for named in _named(events):
        places.setdefault(named.digest, []).append(named)
    return [
        digest
        for digest, versions in places.items()
        if not any(_write_file(bundle, named, read) for named in versions)
    ]


def _write_file(bundle: ZipFile, named: Named, read: Read) -> bool:
    pieces = iter(read(named))
    try:
        first = next(pieces, b"")
    except AssetDeletedError:
        return False
    with bundle.open(
        f"files/{named.digest.removeprefix('sha256:')}", "w", force_zip64=True
    ) as file:
        file.write(first)
        file.writelines(pieces)
    return True


def _named(events: Iterable[Recorded]) -> Iterator[Named]:
    for _, event in events:
        if (digest := content_of(event)) is not None:
            yield Named(event.originator_id, event.originator_version, digest)


def _recorded(proven: Mapping[str, Any]) -> Recorded:
    """The event in a leaf. Raises PoisonEventError."""
    stream, version, topic, state = parts(base64.b64decode(proven["leaf"]))
    position = proven["position"]
    return Codec().decode(
        Notification(stream.decode(), int(version), topic.decode(), state, position)
    )
