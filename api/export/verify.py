"""Checks an audit bundle of Asset Ledger, with nothing but Python's standard library (3.11).

    python verify.py [--key VERIFIER_KEY] [BUNDLE]

BUNDLE is the zip or the folder; without it, the folder that this file is in. Exit code 0 if all
holds, 1 if anything does not. It believes nothing in the bundle but what the signature covers;
whose signature that is, only a key that you have from elsewhere can tell.
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
    """Something in the bundle does not hold; the message says what."""


# Ed25519, RFC 8032, section 5.1: points as extended homogeneous coordinates (X, Y, Z, T).

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]


def added(a: Point, b: Point) -> Point:
    """The sum of two points (section 5.1.4)."""
    low, high = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = high - low, d - c, d + c, high + low
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(factor: int, point: Point) -> Point:
    """A point, added to itself so often."""
    total: Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            total = added(total, point)
        point, factor = added(point, point), factor >> 1
    return total


def point_of(encoded: bytes) -> Point:
    """The point that 32 bytes spell (section 5.1.3). Raises WrongError."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if len(encoded) != 32 or y >= P or (x * x - square) % P or (not x and sign):
        raise WrongError("a key is no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def spelt(point: Point) -> bytes:
    """The 32 bytes that spell a point (section 5.1.2)."""
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE_POINT = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def has_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this Ed25519 key signed this message (section 5.1.7)."""
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= ORDER:
        return False
    x, y, z, t = point_of(public)
    hashed = hashlib.sha512(r + public + message).digest()
    minus = times(int.from_bytes(hashed, "little") % ORDER, (P - x, y, z, P - t))
    return spelt(added(times(s, BASE_POINT), minus)) == r


# The checkpoint: a signed note (C2SP) over the log's name, its size and the root of its tree.


class Checkpoint(NamedTuple):
    """What was signed."""

    origin: str
    size: int
    root: bytes


def signed_checkpoint(note: str, key: str) -> Checkpoint:
    """What a note says, if this key signed it. Raises WrongError."""
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
    """The name and the 32 bytes in a C2SP verifier key. Raises WrongError."""
    name, _, rest = key.partition("+")
    key_id, _, encoded = rest.partition("+")
    public = decoded(encoded)
    hashed = hashlib.sha256(name.encode() + b"\n" + public).digest()
    if len(public) != 33 or public[0] != 1 or hashed[:4].hex() != key_id:
        raise WrongError("this is no verifier key: <name>+<hash>+<base64>")
    return name, public[1:]


def decoded(text: str) -> bytes:
    """The bytes that base64 spells. Raises WrongError."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise WrongError("something is not base64") from error


# The events: leaves of a Merkle tree (RFC 6962), each with its path to the root.


class Event(NamedTuple):
    """An event, read from the bytes that the tree is made of."""

    position: int
    stream: str
    version: int
    topic: str
    said: dict[str, Any]


def root_over(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to (RFC 9162, section 2.1.3.2). Raises WrongError."""
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
    """An event that the signed tree has at its position. Raises WrongError."""
    position, leaf = int(proven["position"]), decoded(proven["leaf"])
    path = [decoded(hashed) for hashed in proven["path"]]
    if root_over(leaf, position - 1, checkpoint.size, path) != checkpoint.root:
        raise WrongError(f"event {position}: is not what the log has at this position")
    stream, version, topic, state = parts(leaf)
    return Event(position, stream.decode(), int(version), topic.decode(), json.loads(state))


def parts(leaf: bytes) -> list[bytes]:
    """Stream, version, topic and state: each stands behind its length. Raises WrongError."""
    found, rest = [], leaf.removeprefix(LEAF_PREFIX)
    while rest:
        length = int.from_bytes(rest[:4], "big")
        found.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    if len(found) != 4 or not leaf.startswith(LEAF_PREFIX):
        raise WrongError("a leaf is not the leaf of an event")
    return found


def followed(key: str, rotations: list[dict[str, Any]]) -> str:
    """The key that a kept one leads to: each change was signed by the key before it, and its own.

    Raises WrongError for one that was not.
    """
    name, _ = public_key(key)
    for proven in rotations:
        stream, _, topic, state = parts(decoded(proven["leaf"]))
        said = json.loads(state)
        if (f"asset-ledger/{stream.decode()}", topic) != (name, b"key.rotated"):
            raise WrongError("what should be a change of this log's key is none")
        check_both_signed(stream.decode(), said)
        if said["old_key"] == key:
            key = said["new_key"]
    return key


def check_both_signed(log_id: str, said: dict[str, Any]) -> None:
    """Raises WrongError unless both keys signed that one takes the other's place."""
    old, new = said["old_key"], said["new_key"]
    text = f"asset-ledger/key-rotation/1\n{log_id}\n{old}\n{new}\n".encode()
    for key, signature in ((old, said["old_signature"]), (new, said["new_signature"])):
        if not has_signed(public_key(key)[1], text, decoded(signature)):
            raise WrongError(f"a change of the key was not signed by {key}")


# What the events say together, and the files that they name.


def wrong_with_job(job: dict[str, Any], events: list[Event]) -> Iterator[str]:
    """Where these are not all the events of this job, from its first one on."""
    names = {(event.said.get("user_id"), event.said.get("job_id")) for event in events}
    if names != {(job["user_id"], job["job_id"])}:
        yield f"the events are not all of job {job['job_id']!r} of user {job['user_id']!r}"
    numbers = [event.said.get("job_seq") for event in events]
    if numbers != list(range(1, len(events) + 1)):
        yield f"job_seq is not 1, 2, 3 ... without a hole: {numbers[:20]}"
    positions = [event.position for event in events]
    if positions != sorted(set(positions)):
        yield "the events are not in the order of the log"
    for event in events:
        if event.topic == "job.finished" and event.said.get("events") != event.said.get("job_seq"):
            yield f"event {event.position}: the job ended with another number of events"


def named_files(events: list[Event]) -> dict[str, int]:
    """The digests that the events name, with their sizes."""
    said = [event.said for event in events if event.said.get("digest")]
    return {each["digest"]: each["size"] for each in said}


def wrong_with_files(bundle: Place, named: dict[str, int], absent: list[str]) -> Iterator[str]:
    """Where the files are not the ones that the events name."""
    for digest, size in named.items():
        if digest in absent:
            continue
        file = bundle / "files" / digest.removeprefix("sha256:")
        if not file.exists():
            yield f"{digest}: the file is missing"
        elif (found := digest_and_size(file)) != (digest, size):
            yield f"{digest}: the file was changed: it has {found[0]} and {found[1]} bytes"
    known = {digest.removeprefix("sha256:") for digest in named}
    files = bundle / "files"
    if extra := {file.name for file in files.iterdir()} - known if files.exists() else set():
        yield f"no event names these files: {sorted(extra)}"


def digest_and_size(file: Place) -> tuple[str, int]:
    """What the bytes of a file are."""
    hashed, size = hashlib.sha256(), 0
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            hashed.update(piece)
            size += len(piece)
    return f"sha256:{hashed.hexdigest()}", size


def check(bundle: Place, kept_key: str | None) -> bool:
    """Print what holds and what does not; whether all of it does."""
    proof = json.loads((bundle / "proof.json").read_bytes())
    job = json.loads((bundle / "manifest.json").read_bytes())
    if proof["format"] != FORMAT:
        raise WrongError(f"the proof is not of the format {FORMAT}")
    rotations = proof.get("rotations", [])
    key = followed(kept_key or str(proof["key"]), rotations)
    checkpoint = signed_checkpoint(proof["checkpoint"], key)
    print(f"ok     the checkpoint of {checkpoint.origin} over {checkpoint.size} events is signed")
    for rotation in rotations:
        at = proven_event(rotation, checkpoint).position
        print(f"ok     the key was changed by event {at}, and both keys signed that")
    events = [proven_event(proven, checkpoint) for proven in proof["events"]]
    print(f"ok     {len(events)} events are in that log, each at its position, unchanged")
    named = named_files(events)
    wrong = [*wrong_with_job(job, events), *wrong_with_files(bundle, named, job["absent"])]
    for each in wrong:
        print(f"WRONG  {each}")
    if not wrong:
        tell(job, events, named, checkpoint)
    if kept_key is None:
        print(f"note   the key came with the bundle; compare it with the one you kept: {key}")
    return not wrong


def tell(
    job: dict[str, Any], events: list[Event], named: dict[str, int], checkpoint: Checkpoint
) -> None:
    """Say what is proven by now, and what is not."""
    counted = ", ".join(f"{n} {topic}" for topic, n in Counter(f.topic for f in events).items())
    print(f"ok     job {job['job_id']!r} of user {job['user_id']!r}: {counted}")
    print("ok     job_seq counts 1, 2, 3 ...: no event is left out before the last one here")
    absent = [digest for digest in named if digest in job["absent"]]
    print(f"ok     {len(named) - len(absent)} files are the ones that the events name")
    for digest in absent:
        print(f"note   the bundle comes without {digest}")
    if all(event.topic != "job.finished" for event in events):
        print("note   the job was not finished: its end may be missing here")
    print(f"note   nothing is shown about events after position {checkpoint.size}")
    print("note   nothing is shown about prov.json, which is there to be read")


def main(arguments: list[str]) -> int:
    """Check the bundle that is named."""
    parser = argparse.ArgumentParser(description="Check an audit bundle of Asset Ledger.")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--key", help="the verifier key that you kept")
    asked = parser.parse_args(arguments)
    try:
        bundle = zipfile.Path(asked.bundle) if asked.bundle.is_file() else asked.bundle
        holds = check(bundle, asked.key)
    except (WrongError, OSError, zipfile.BadZipFile) as error:
        print(f"WRONG  {error}")
        holds = False
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        print(f"WRONG  this is not a bundle as it should be: {error!r}")
        holds = False
    print("The bundle holds." if holds else "The bundle does NOT hold.")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
