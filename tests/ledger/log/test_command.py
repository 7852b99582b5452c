"""How a request is recognised when it comes again. The hashes are frozen into stored bytes."""

import hashlib

from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.command import command_hash, fingerprint
from tests.builders import command_key

DIGEST = Digest("sha256:" + "a" * 64)


def test_a_fingerprint_is_the_sha256_of_what_is_asked_as_sorted_json() -> None:
    asked = fingerprint("create-asset", fields={"name": "b", "job_id": "j"}, size=4, digest=DIGEST)

    by_hand = (
        '{"digest":"sha256:' + "a" * 64 + '","fields":{"job_id":"j","name":"b"},'
        '"id":null,"if_match":null,"operation":"create-asset","size":4}'
    )
    assert asked == hashlib.sha256(by_hand.encode()).hexdigest()


def test_every_part_of_a_request_tells_it_from_another() -> None:
    different = {
        fingerprint("create-asset"),
        fingerprint("delete-asset"),
        fingerprint("create-asset", asset_id="0" * 32),
        fingerprint("create-asset", if_match=1),
        fingerprint("create-asset", fields={"name": "a"}),
        fingerprint("create-asset", size=1),
        fingerprint("create-asset", digest=DIGEST),
    }

    assert len(different) == 7


def test_a_command_hash_is_made_of_length_prefixed_parts() -> None:
    key = command_key(key="k", operation="create-asset", fingerprint="ff")

    by_hand = b"asset-ledger/command/1\n\0\0\0\1k\0\0\0\x0ccreate-asset\0\0\0\2ff"
    assert command_hash(key) == hashlib.sha256(by_hand).hexdigest()


def test_parts_cannot_flow_into_each_other() -> None:
    assert command_hash(command_key(key="ab", operation="c")) != command_hash(
        command_key(key="a", operation="bc")
    )


def test_without_a_key_there_is_no_hash() -> None:
    assert command_hash(None) is None
