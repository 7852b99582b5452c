"""Check an audit bundle of Asset Ledger, with only Python's standard library (3.11).

    python verify.py [--key VERIFIER_KEY] [BUNDLE]

BUNDLE is the zip or the folder; without it, the folder of this file. Exit code 0 if every check
holds, else 1. Give a key that you kept: the bundle's own key shows nothing about the signer.
"""

import argparse
import base64
import hashlib
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Place = Path | zipfile.Path

LEAF_PREFIX = b"asset-ledger/leaf/1\n"
FORMAT = "asset-ledger-proof/1"


class WrongError(Exception):
    """A check of the bundle failed; the message says which."""


# Ed25519, RFC 8032, section 5.1: points as extended homogeneous coordinates (X, Y, Z, T).

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]


def added(a: Point, b: Point) -> Point:
    """Return the sum of two points (section 5.1.4)."""
    low, high = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = high - low, d - c, d + c, high + low
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(factor: int, point: Point) -> Point:
    """Return a multiple of a point."""
    total: Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            total = added(total, point)
        point, factor = added(point, point), factor >> 1
    return total


def point_of(encoded: bytes) -> Point:
    """Decode a point from 32 bytes (section 5.1.3). Raises WrongError."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if len(encoded) != 32 or y >= P or (x * x - square) % P or (not x and sign):
        raise WrongError("a key is not a point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def encoded_point(point: Point) -> bytes:
    """Encode a point as 32 bytes (section 5.1.2)."""
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE_POINT = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def has_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether this Ed25519 key signed this message (section 5.1.7)."""
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= ORDER:
        return False
    x, y, z, t = point_of(public)
    hashed = hashlib.sha512(r + public + message).digest()
    minus = times(int.from_bytes(hashed, "little") % ORDER, (P - x, y, z, P - t))
    return encoded_point(added(times(s, BASE_POINT), minus)) == r


# The checkpoint: a signed note (C2SP) over the log's name, its size and the root of its tree.


class Checkpoint(NamedTuple):
    """The signed text of a checkpoint."""

    origin: str
    size: int
    root: bytes


def signed_checkpoint(note: str, key: str) -> Checkpoint:
    """Return the checkpoint in a note that this key signed. Raises WrongError."""
    text, _, signatures = note.rpartition("\n\n")
    name, public = public_key(key)
    if text.split("\n")[0] != name:
        raise WrongError(f"the checkpoint is of {text.splitlines()[:1]}, the key of {name}")
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    for line in signatures.splitlines():
        mark, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        signature = decoded(encoded)
        if (mark, signer, signature[:4]) == ("\u2014", name, key_id):
            if not has_signed(public, text.encode() + b"\n", signature[4:]):
                raise WrongError("the signature of the checkpoint does not hold")
            return _checkpoint(text)
    raise WrongError("the checkpoint was not signed with this key")


def _checkpoint(text: str) -> Checkpoint:
    origin, size, root, *_ = text.split("\n")
    return Checkpoint(origin, int(size), decoded(root))


def public_key(key: str) -> tuple[str, bytes]:
    """Return the name and the 32 bytes in a C2SP verifier key. Raises WrongError."""
    name, _, rest = key.partition("+")
    key_id, _, encoded = rest.partition("+")
    public = decoded(encoded)
    hashed = hashlib.sha256(name.encode() + b"\n" + public).digest()
    if len(public) != 33 or public[0] != 1 or hashed[:4].hex() != key_id:
        raise WrongError("this is not a verifier key: it looks like <name>+<hash>+<base64>")
    return name, public[1:]


def decoded(text: str) -> bytes:
    """Decode base64. Raises WrongError."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise WrongError("something is not base64") from error


# The events: leaves of a Merkle tree (RFC 6962), each with its path to the root.


class Event(NamedTuple):
    """An event, decoded from its leaf in the tree."""

    position: int
    stream: str
    version: int
    topic: str
    state: dict[str, Any]


def root_over(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Compute the root from an inclusion proof (RFC 9162, section 2.1.3.2). Raises WrongError."""
    hashed, here, last = hashlib.sha256(b"\x00" + leaf).digest(), index, size - 1
    for sibling in path:
        right = here % 2 == 1 or here == last
        pair = sibling + hashed if right else hashed + sibling
        hashed = hashlib.sha256(b"\x01" + pair).digest()
        while right and here and not here % 2:
            here, last = here >> 1, last >> 1
        here, last = here >> 1, last >> 1
    if last or not 0 <= index < size:
        raise WrongError(f"event {index + 1}: its path does not fit a tree of {size} events")
    return hashed


def proven_event(proven: dict[str, Any], checkpoint: Checkpoint) -> Event:
    """Return an event that the signed tree has at its position. Raises WrongError."""
    position, leaf = int(proven["position"]), decoded(proven["leaf"])
    path = [decoded(hashed) for hashed in proven["path"]]
    if root_over(leaf, position - 1, checkpoint.size, path) != checkpoint.root:
        raise WrongError(f"event {position}: is not what the log has at this position")
    return event_of(position, leaf)


def event_of(position: int, leaf: bytes) -> Event:
    """Decode a leaf. Raises WrongError."""
    stream, version, topic, state = parts(leaf)
    return Event(position, stream.decode(), int(version), topic.decode(), json.loads(state))


def parts(leaf: bytes) -> list[bytes]:
    """Split a leaf into stream, version, topic and state. Raises WrongError."""
    found, rest = [], leaf.removeprefix(LEAF_PREFIX)
    while rest:
        length = int.from_bytes(rest[:4], "big")
        found.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    if len(found) != 4 or not leaf.startswith(LEAF_PREFIX):
        raise WrongError("a leaf is not the leaf of an event")
    return found


def followed(key: str, rotations: list[dict[str, Any]]) -> str:
    """Return the key in force after these rotations, each signed by its old and its new key.

    Raises WrongError for a rotation that is not signed by both.
    """
    name, _ = public_key(key)
    for proven in rotations:
        stream, _, topic, state = parts(decoded(proven["leaf"]))
        rotation = json.loads(state)
        if (f"asset-ledger/{stream.decode()}", topic) != (name, b"key.rotated"):
            raise WrongError("an event among the rotations is not a rotation of this log's key")
        check_both_signed(stream.decode(), rotation)
        if rotation["old_key"] == key:
            key = rotation["new_key"]
    return key


def check_both_signed(log_id: str, rotation: dict[str, Any]) -> None:
    """Raise WrongError unless the old and the new key signed the rotation."""
    old, new = rotation["old_key"], rotation["new_key"]
    text = f"asset-ledger/key-rotation/1\n{log_id}\n{old}\n{new}\n".encode()
    for key, signature in ((old, rotation["old_signature"]), (new, rotation["new_signature"])):
        if not has_signed(public_key(key)[1], text, decoded(signature)):
            raise WrongError(f"a rotation of the key was not signed by {key}")


# The events of the job as a whole, and the files that they name.


def wrong_with_job(job: dict[str, Any], events: list[Event]) -> Iterator[str]:
    """Yield why these are not all events of this job from the first on, or of its attempt."""
    names = {(event.state.get("user_id"), event.state.get("job_id")) for event in events}
    if names != {(job["user_id"], job["job_id"])}:
        yield f"the events are not all of job {job['job_id']!r} of user {job['user_id']!r}"
    attempt = job["attempt"]
    if attempt is not None and {event.state.get("attempt") for event in events} != {attempt}:
        yield f"the events are not all of attempt {attempt}"
    numbers = [event.state.get("job_seq", 0) for event in events]
    if attempt is None and numbers != list(range(1, len(events) + 1)):
        yield f"job_seq is not 1, 2, 3 ... without a hole: {numbers[:20]}"
    if numbers != sorted(set(numbers)):
        yield f"job_seq does not grow from event to event: {numbers[:20]}"
    positions = [event.position for event in events]
    if positions != sorted(set(positions)):
        yield "the events are not in the order of the log"
    for event in events:
        if event.topic == "job.finished" and event.state.get("events") != event.state.get(
            "job_seq"
        ):
            yield f"event {event.position}: the job ended with another number of events"


def named_files(events: list[Event]) -> dict[str, int]:
    """Return the digests that the events name, with their sizes."""
    states = [event.state for event in events if event.state.get("digest")]
    return {state["digest"]: state["size"] for state in states}


def wrong_with_files(bundle: Place, named: dict[str, int], absent: list[str]) -> Iterator[str]:
    """Yield where the files are not the ones that the events name."""
    for digest in absent:
        if digest not in named:
            yield f"{digest}: the manifest calls it absent, and no event names it"
    for digest, size in named.items():
        file = bundle / "files" / digest.removeprefix("sha256:")
        if digest in absent:
            if file.exists():
                yield f"{digest}: the manifest calls it absent, and the file is there"
        elif not file.exists():
            yield f"{digest}: the file is missing"
        elif (found := digest_and_size(file)) != (digest, size):
            yield f"{digest}: the file was changed: it has {found[0]} and {found[1]} bytes"
    known = {digest.removeprefix("sha256:") for digest in named}
    files = bundle / "files"
    if extra := {file.name for file in files.iterdir()} - known if files.exists() else set():
        yield f"no event names these files: {sorted(extra)}"


def digest_and_size(file: Place) -> tuple[str, int]:
    """Return the digest and the size of a file."""
    hashed, size = hashlib.sha256(), 0
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            hashed.update(piece)
            size += len(piece)
    return f"sha256:{hashed.hexdigest()}", size


def check(bundle: Place, kept_key: str | None) -> bool:
    """Print the result of each check. Return whether all of them hold."""
    proof = json.loads((bundle / "proof.json").read_bytes())
    job = json.loads((bundle / "manifest.json").read_bytes())
    if proof["format"] != FORMAT:
        raise WrongError(f"the proof is not of the format {FORMAT}")
    rotations = proof["rotations"]
    key = followed(kept_key or str(proof["key"]), rotations)
    checkpoint = signed_checkpoint(proof["checkpoint"], key)
    print(f"ok     the checkpoint of {checkpoint.origin} over {checkpoint.size} events is signed")
    for rotation in rotations:
        at = proven_event(rotation, checkpoint).position
        print(f"ok     the key was rotated by event {at}, and both keys signed that")
    events = [proven_event(proven, checkpoint) for proven in proof["events"]]
    print(f"ok     {len(events)} events are in that log, each at its position, unchanged")
    named = named_files(events)
    wrong = [*wrong_with_job(job, events), *wrong_with_files(bundle, named, job["absent"])]
    for each in wrong:
        print(f"WRONG  {each}")
    if not wrong:
        summarize(job, events, named, checkpoint)
    if kept_key is None:
        print(f"note   the key came with the bundle; compare it with the one you kept: {key}")
    return not wrong


def summarize(
    job: dict[str, Any], events: list[Event], named: dict[str, int], checkpoint: Checkpoint
) -> None:
    """Print what the bundle proves, and what it does not."""
    counted = ", ".join(f"{n} {topic}" for topic, n in Counter(f.topic for f in events).items())
    print(f"ok     {_named(job)} of user {job['user_id']!r}: {counted}")
    if job["attempt"] is None:
        print("ok     job_seq counts 1, 2, 3 ...: no event is left out before the last one here")
    else:
        print("note   the other attempts are left out: an event of this one may be missing, too")
    absent = [digest for digest in named if digest in job["absent"]]
    print(f"ok     {len(named) - len(absent)} files are the ones that the events name")
    for digest in absent:
        print(f"note   the bundle was made without the file {digest}")
    for event in events:
        if event.state.get("late"):
            print(f"note   event {event.position}: this asset arrived after its attempt had ended")
    ended = {event.state["attempt"] for event in events if event.topic == "job.finished"}
    for attempt in sorted({event.state["attempt"] for event in events} - ended):
        print(f"note   attempt {attempt} was not finished: its end may be missing here")
    if behind := [event for event in events if event.state.get("clock")]:
        first = f"event {behind[0].position} at {behind[0].state['clock']}"
        print(f"note   {len(behind)} events have a later time than the clock showed, first {first}")
    print(f"note   nothing is shown about events after position {checkpoint.size}")
    print("note   nothing is shown about prov.json, which the proof does not cover")


def _named(job: dict[str, Any]) -> str:
    attempt = "" if job["attempt"] is None else f"attempt {job['attempt']} of "
    return f"{attempt}job {job['job_id']!r}"


def main(arguments: list[str]) -> int:
    """Check the bundle that the arguments name. Return the exit code."""
    parser = argparse.ArgumentParser(description="Check an audit bundle of Asset Ledger.")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--key", help="the verifier key that you kept")
    options = parser.parse_args(arguments)
    try:
        bundle = zipfile.Path(options.bundle) if options.bundle.is_file() else options.bundle
        holds = check(bundle, options.key)
    except (WrongError, OSError, zipfile.BadZipFile) as error:
        print(f"WRONG  {error}")
        holds = False
    except Exception as error:  # a forged bundle may fail anywhere: in zlib, in the JSON, below
        print(f"WRONG  this is not a complete bundle: {error!r}")
        holds = False
    print("The bundle holds." if holds else "The bundle does NOT hold.")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
