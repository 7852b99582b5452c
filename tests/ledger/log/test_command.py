"""Fingerprints of requests and command hashes, which are part of the stored format."""

import hashlib

from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.command import command_hash, fingerprint
from tests.builders import command_key

DIGEST = Digest("sha256:" + "a" * 64)


def test_fingerprint_is_the_sha256_of_the_request_as_sorted_json() -> None:
    result = fingerprint("create-asset", fields={"name": "b", "job_id": "j"}, size=4, digest=DIGEST)

    expected = (
        '{"digest":"sha256:' + "a" * 64 + '","fields":{"job_id":"j","name":"b"},'
        '"id":null,"if_match":null,"operation":"create-asset","size":4}'
    )
    assert result == hashlib.sha256(expected.encode()).hexdigest()


def test_fingerprint_differs_for_every_part_of_a_request() -> None:
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


def test_command_hash_is_over_length_prefixed_parts() -> None:
    key = command_key(key="k", operation="create-asset", fingerprint="ff")

    expected = b"asset-ledger/command/1\n\0\0\0\1k\0\0\0\x0ccreate-asset\0\0\0\2ff"
    assert command_hash(key) == hashlib.sha256(expected).hexdigest()


def test_command_hash_differs_for_shifted_parts() -> None:
    assert command_hash(command_key(key="ab", operation="c")) != command_hash(
        command_key(key="a", operation="bc")
    )


def test_command_hash_is_none_without_a_key() -> None:
    assert command_hash(None) is None
