"""The transparency log through HTTP: checkpoints, proofs, receipts, keys and tiles.

Every check uses only the answers and a key of the log, as an outside verifier would.
"""

import asyncio
import base64
import gzip
import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.errors import ProofError
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, open_checkpoint
from asset_ledger.ledger.merkle.proof import ProvenEvent, check_proof
from asset_ledger.ledger.merkle.succession import key_after
from asset_ledger.ledger.merkle.tiles import WIDTH, Tile
from asset_ledger.ledger.merkle.tree import HASH, Tree, check_consistency, leaf_hash, root
from tests.api.http.test_operations import shaped
from tests.api.running import Answer, Api, serving

RECEIPT = {"Prefer": "return=receipt"}


async def log_key(api: Api) -> str:
    """Return the verifier key that event 1 of the log names."""
    (opened,) = await asyncio.to_thread(api.backend.feed.read, 0, 1)
    key: str = opened.event.public_key  # type: ignore[attr-defined]
    return key


async def checkpoint(api: Api) -> Checkpoint:
    answer = await api.get("/api/log/checkpoint")
    assert answer.status == 200, answer.body
    return open_checkpoint(answer.body.decode(), await log_key(api))


async def proven(api: Api, answer: Answer) -> list[ProvenEvent]:
    assert answer.status == 200, answer.body
    _, events = check_proof(answer.json, await log_key(api))
    return events


def hashes(tile: bytes) -> list[bytes]:
    return [tile[n : n + HASH] for n in range(0, len(tile), HASH)]


async def test_a_checkpoint_is_a_note_signed_by_the_log(api: Api) -> None:
    await api.created(b"x")
    answer = await api.get("/api/log/checkpoint")

    signed = open_checkpoint(answer.body.decode(), await log_key(api))

    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert signed.size == api.head() == 2
    assert signed.origin == f"asset-ledger/{api.backend.feed.log_id}"


async def test_a_log_size_is_signed_once_for_concurrent_requests(api: Api, data_dir: Path) -> None:
    notes = {(await api.get("/api/log/checkpoint")).body for _ in range(3)}
    notes |= {a.body for a in await asyncio.gather(*(api.get("/api/log/checkpoint"),) * 8)}

    assert len(notes) == 1


async def test_a_checkpoint_is_the_same_after_a_restart(data_dir: Path) -> None:
    notes = []
    for _ in range(2):
        async with serving(Settings(data_dir=data_dir)) as api:
            notes.append((await api.get("/api/log/checkpoint")).body)

    assert notes[0] == notes[1]


async def test_every_log_key_is_listed_with_its_event(api: Api) -> None:
    await api.created(b"x")
    note = (await api.get("/api/log/checkpoint")).body.decode()
    rotated = (await api.call("POST", "/api/log/key/rotate")).json
    (first, second) = (await api.get("/api/log/key")).json["keys"]
    leaves = [base64.b64decode(each["leaf"]) for each in (first, second)]
    tile = hashes((await api.get("/api/log/tile/0/000.p/3")).body)

    assert (first["since"], first["key"]) == (1, await log_key(api))
    assert {name: second[name] for name in rotated} == rotated
    assert rotated["since"] == api.head() == 3
    assert [tile[0], tile[2]] == [leaf_hash(leaf) for leaf in leaves]
    assert key_after(first["key"], leaves[1:]) == rotated["key"]
    assert open_checkpoint(note, first["key"]).size == 2
    new = (await api.get("/api/log/checkpoint")).body.decode()
    assert open_checkpoint(new, rotated["key"]).size == 3


async def test_a_proof_is_verified_with_the_first_key_after_any_rotation(api: Api) -> None:
    asset, kept = await api.created(b"x", job_id="j"), await log_key(api)
    for _ in range(2):
        assert (await api.call("POST", "/api/log/key/rotate")).status == 200

    for path in (f"/api/assets/{asset['id']}/proof", "/api/jobs/j/proof"):
        proof = (await api.get(path)).json
        assert [each["position"] for each in proof["rotations"]] == [3, 4]
        assert check_proof(proof, kept)[1][0].position == 2
        with pytest.raises(ProofError, match="did not sign"):
            check_proof({**proof, "rotations": proof["rotations"][:1]}, kept)
        del proof["rotations"]
        for key in (kept, await log_key(api)):
            with pytest.raises(ProofError, match="must have a checkpoint, rotations and events"):
                check_proof(proof, key)


async def test_a_key_rotation_is_recorded_as_an_event(api: Api) -> None:
    """The event feed lists it, and reads at its position are not behind."""
    rotated = await api.call("POST", "/api/log/key/rotate")
    events = await api.get("/api/events?all=true&topic=key.rotated")

    assert rotated.headers["Ledger-Position"] == "2"
    assert [event["by"] for event in events.json["events"]] == ["1"]
    assert (await api.get("/api/assets?min_position=2")).status == 200
    assert (await api.created(b"x"))["position"] == 3


async def test_an_asset_proof_holds_all_events_of_the_asset(api: Api) -> None:
    asset = await api.created(b"x", name="cat.png")
    await api.created(b"y")
    await api.call("DELETE", f"/api/assets/{asset['id']}")

    events = await proven(api, await api.get(f"/api/assets/{asset['id']}/proof"))

    assert [event.position for event in events] == [2, 4]
    assert all(asset["id"].encode() in event.leaf for event in events)
    assert b"cat.png" in events[0].leaf
    assert b"asset.deleted" in events[1].leaf


async def test_one_proof_holds_all_events_of_many_assets(api: Api) -> None:
    first, other, last = [await api.created(b"x") for _ in range(3)]
    await api.call("DELETE", f"/api/assets/{first['id']}")
    ids = [last["id"], first["id"], last["id"]]

    answer = await api.call("POST", "/api/log/proofs", json={"asset_ids": ids})

    assert [event.position for event in await proven(api, answer)] == [4, 2, 5]
    unknown = {"asset_ids": [other["id"], "0" * 32]}
    for body, slug in ((unknown, "unknown-asset"), ({"asset_ids": []}, "bad-field")):
        assert (await api.call("POST", "/api/log/proofs", json=body)).slug == slug
    many = {"asset_ids": ["x"] * 1_001}
    assert (await api.call("POST", "/api/log/proofs", json=many)).slug == "bad-field"


async def test_a_proof_under_a_kept_checkpoint_has_no_later_event(api: Api) -> None:
    first = await api.created(b"x", job_id="j")
    kept, first_key = await checkpoint(api), await log_key(api)
    assert (await api.call("POST", "/api/log/key/rotate")).status == 200
    later = await api.created(b"y", job_id="j")
    await api.call("DELETE", f"/api/assets/{first['id']}")
    ids = {"asset_ids": [later["id"], first["id"]]}
    size = f"?size={kept.size}"

    for answer in (
        await api.get(f"/api/assets/{first['id']}/proof{size}"),
        await api.get(f"/api/jobs/j/proof{size}"),
        await api.call("POST", f"/api/log/proofs{size}", json=ids),
    ):
        assert answer.status == 200, answer.body
        signed, events = check_proof(answer.json, first_key)
        assert signed == kept
        assert [event.position for event in events] == [first["position"]]
    assert (await api.get(f"/api/assets/{later['id']}/proof{size}")).json["events"] == []
    assert (await api.get("/api/log/checkpoint")).status == 200
    whole = (await api.get("/api/jobs/j/proof?size=5")).json
    assert [each["position"] for each in whole["rotations"]] == [3]
    assert check_proof(whole, first_key)[0].size == 5


@pytest.mark.parametrize("size", ["1", "0", "-1", "x", "4", "9223372036854775807"])
async def test_a_size_that_was_never_signed_is_refused(api: Api, size: str) -> None:
    asset = await api.created(b"x", job_id="j")
    for path in (f"/api/assets/{asset['id']}/proof", "/api/jobs/j/proof"):
        answer = await api.get(f"{path}?size={size}")
        assert (answer.status, answer.slug) == (400, "bad-parameter"), answer.body


async def test_a_proof_as_lines_has_its_checkpoint_first(api: Api) -> None:
    first, other = [await api.created(b"x", job_id="j") for _ in range(2)]
    ids = {"asset_ids": [other["id"], first["id"]]}

    for path, body, positions in (
        (f"/api/assets/{first['id']}/proof", None, [2]),
        ("/api/jobs/j/proof", None, [2, 3]),
        ("/api/log/proofs", ids, [3, 2]),
    ):
        method = "POST" if body else "GET"
        accept = {"Accept": "application/x-ndjson"}
        answer = await api.call(method, path, json=body, headers=accept)
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert answer.headers["Vary"].startswith("Accept")
        head, *events = map(orjson.loads, answer.body.splitlines())
        assert "events" not in head
        proof = {**head, "events": events}
        _, checked = check_proof(proof, await log_key(api))
        assert [event.position for event in checked] == positions


@pytest.mark.parametrize("path", ["/api/jobs/j/proof", "/api/jobs/j/history"])
async def test_streamed_json_is_gzipped_on_request(api: Api, path: str) -> None:
    for _ in range(5):
        await api.created(b"x", job_id="j")
    accept = "application/x-ndjson"

    plain = await api.get(path, Accept=accept)
    zipped = await api.get(path, Accept=accept, Accept_Encoding="gzip")

    assert "Content-Encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body


async def test_the_ledger_is_described_as_its_checkpoint_has_it(api: Api) -> None:
    await api.created(b"x")

    answer = await api.get("/api/ledger")

    found, signed = shaped("get_ledger", answer), await checkpoint(api)
    assert (found["size"], found["origin"]) == (signed.size, signed.origin)
    assert base64.b64decode(found["root"]) == signed.root
    assert found["opened_at"] <= found["last_recorded_at"]
    assert found["events_last_minute"] in (1, 2)  # the folder may have been opened before
    assert found["log_bytes"] > 0


async def test_a_job_proof_holds_all_events_of_the_job(api: Api) -> None:
    for n in range(3):
        await api.created(b"%d" % n, job_id="j")
        await api.created(b"%d" % n, job_id="other")
    await api.call("POST", "/api/jobs/j/finish", json={"status": "completed"})

    events = await proven(api, await api.get("/api/jobs/j/proof"))

    assert [event.position for event in events] == [2, 4, 6, 8]
    assert b'"events":4' in events[-1].leaf


async def test_a_proof_of_a_long_job_is_one_document(api: Api) -> None:
    """The proof needs more than one read of the log, and more than one tile."""
    uploads = [api.created(b"%d" % n, job_id="j") for n in range(420)]
    for first in range(0, len(uploads), 60):
        await asyncio.gather(*uploads[first : first + 60])

    events = await proven(api, await api.get("/api/jobs/j/proof"))

    assert [event.position for event in events] == list(range(2, 422))


async def test_head_of_a_proof_has_no_body(api: Api) -> None:
    asset = await api.created(b"x", job_id="j")

    for path in (f"/api/assets/{asset['id']}/proof", "/api/jobs/j/proof", "/api/log/checkpoint"):
        answer = await api.call("HEAD", path)
        assert (answer.status, answer.body) == (200, b"")


async def test_a_proof_of_an_unknown_asset_or_job_is_404(api: Api) -> None:
    for path, slug in (
        (f"/api/assets/{'0' * 32}/proof", "unknown-asset"),
        ("/api/assets/no-id/proof", "unknown-asset"),
        ("/api/jobs/unknown/proof", "unknown-job"),
    ):
        answer = await api.get(path)
        assert (answer.status, answer.slug) == (404, slug)


async def test_a_forged_proof_is_refused_with_the_reason(api: Api) -> None:
    await api.created(b"x", job_id="j")
    key, proof = await log_key(api), (await api.get("/api/jobs/j/proof")).json
    leaf = base64.b64decode(proof["events"][0]["leaf"])
    proof["events"][0]["leaf"] = base64.b64encode(leaf.replace(b"image/png", b"image/gif")).decode()

    with pytest.raises(ProofError, match="path of leaf 1 does not lead to the root of 2 leaves"):
        check_proof(proof, key)


async def test_a_proof_of_another_log_is_refused_with_the_reason(api: Api, tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "other")) as other:
        await other.created(b"x", job_id="j")
        theirs = (await other.get("/api/jobs/j/proof")).json
        name = f"asset-ledger/{other.backend.feed.log_id}"

    with pytest.raises(ProofError, match=f"this is a checkpoint of {name}, not of"):
        check_proof(theirs, await log_key(api))


async def test_an_upload_is_answered_with_a_receipt_when_preferred(api: Api) -> None:
    answer = await api.upload(b"x", name="cat.png", headers=RECEIPT)
    asset = answer.json

    assert answer.status == 201
    assert answer.headers["Preference-Applied"] == "return=receipt"
    _, (event,) = check_proof(asset.pop("receipt"), await log_key(api))
    assert event.position == asset["position"] == 2
    assert b"cat.png" in event.leaf
    assert (await api.get(f"/api/assets/{asset['id']}")).json == asset


async def test_a_repeated_upload_returns_its_receipt(api: Api) -> None:
    headers = {**RECEIPT, "Idempotency-Key": "k"}
    first = (await api.upload(b"x", headers=headers)).json["receipt"]
    await api.created(b"y")

    repeated = await api.upload(b"x", headers=headers)

    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert repeated.json["receipt"]["events"][0]["leaf"] == first["events"][0]["leaf"]
    check_proof(repeated.json["receipt"], await log_key(api))


async def test_receipts_of_concurrent_uploads_are_all_valid(api: Api) -> None:
    answers = await asyncio.gather(*(api.upload(b"%d" % n, headers=RECEIPT) for n in range(40)))

    key = await log_key(api)
    positions = [check_proof(a.json["receipt"], key)[1][0].position for a in answers]
    assert sorted(positions) == list(range(2, 42))


async def test_a_consistency_proof_links_two_checkpoints(api: Api) -> None:
    older = await checkpoint(api)
    for n in range(5):
        await api.created(b"%d" % n)
    newer = await checkpoint(api)

    answer = await api.get(f"/api/log/proof?first={older.size}&second={newer.size}")

    assert answer.json | {"path": []} == {"first": older.size, "second": newer.size, "path": []}
    path = [base64.b64decode(hashed) for hashed in answer.json["path"]]
    check_consistency(older.size, newer.size, older.root, newer.root, path)
    with pytest.raises(ProofError, match="does not begin with"):
        check_consistency(older.size, newer.size, hashlib.sha256().digest(), newer.root, path)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "first"),
        ("?first=1", "second"),
        ("?second=1", "first"),
        ("?first=2&second=1", "second"),
        ("?first=1&second=3", "second"),
        ("?first=0&second=1", "first"),
        ("?first=1&second=x", "second"),
        ("?first=1&second=2&third=3", "third"),
    ],
)
async def test_a_consistency_proof_of_invalid_sizes_is_refused(
    api: Api, query: str, named: str
) -> None:
    await api.created(b"x")

    answer = await api.get(f"/api/log/proof{query}")

    assert (answer.status, answer.slug) == (400, "bad-parameter")
    assert [error["parameter"] for error in answer.json["errors"]] == [named]


async def test_tiles_rebuild_the_root(api: Api) -> None:
    for _ in range(6):
        await asyncio.gather(*(api.created(b"%d" % n) for n in range(50)))
    signed = await checkpoint(api)
    full, rest = divmod(signed.size, WIDTH)
    assert (full, rest) == (1, 45)

    tiles = [Tile(0, 0), Tile(0, 1, rest), Tile(1, 0, full)]
    first, second, above = [await fetched(api, f"/api/log/tile/{tile.path}") for tile in tiles]

    tree = Tree([*hashes(first), *hashes(second)])
    assert root(signed.size, tree.node) == signed.root
    assert hashes(above) == [tree.node(8, 0)]


async def test_entries_hash_to_their_tile(api: Api) -> None:
    await api.created(b"x", name="cat.png")
    signed = await checkpoint(api)

    bundle = await fetched(api, f"/api/log/tile/entries/000.p/{signed.size}")

    leaves = unbundled(bundle)
    assert b"ledger.opened" in leaves[0]
    assert b"cat.png" in leaves[1]
    tile = await fetched(api, f"/api/log/tile/0/000.p/{signed.size}")
    assert [leaf_hash(leaf) for leaf in leaves] == hashes(tile)


async def test_a_tile_is_cacheable_for_ever(api: Api) -> None:
    for path in ("/api/log/tile/0/000.p/1", "/api/log/tile/entries/000.p/1"):
        answer = await api.get(path)
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Type"] == "application/octet-stream"
    assert (await api.get("/api/log/checkpoint")).headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "0/000",
        "0/000.p/2",
        "0/001.p/1",
        "1/000.p/1",
        "64/000",
        "entries/000",
        "entries/001.p/1",
        "entries",
        "x",
        "0/000.p/1/2",
        "0/%2e%2e/000",
        "0/x999/x999/x999/x999/x999/x999/999",
    ],
)
async def test_a_missing_tile_is_unknown(api: Api, path: str) -> None:
    answer = await api.get(f"/api/log/tile/{path}")

    assert (answer.status, answer.slug) == (404, "unknown-tile")


async def test_a_ledger_without_its_key_works_and_signs_nothing(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created(b"x", job_id="j")
    key_file = data_dir / "checkpoint.key"
    kept = key_file.read_bytes()
    key_file.unlink()

    async with serving(Settings(data_dir=data_dir)) as api:
        asset = await api.created(b"y", job_id="j")
        refused: list[Any] = [
            await api.get("/api/log/checkpoint"),
            await api.get(f"/api/assets/{asset['id']}/proof"),
            await api.get("/api/jobs/j/proof"),
            await api.upload(b"z", headers=RECEIPT),
        ]
        assert [(answer.status, answer.slug) for answer in refused] == [(503, "storage-failed")] * 4
        assert "checkpoint.key is not in the data folder" in refused[0].json["detail"]
        assert api.head() == 3  # the upload was refused before its body was read
        assert (await api.get("/api/log/tile/0/000.p/3")).status == 200
        assert (await api.get("/api/jobs/j/history")).status == 200

        key_file.write_bytes(kept)  # no restart: the server looks for the key at each use
        assert (await checkpoint(api)).size == 3


async def fetched(api: Api, path: str) -> bytes:
    answer = await api.get(path)
    assert answer.status == 200, answer.body
    return answer.body


def unbundled(bundle: bytes) -> list[bytes]:
    leaves = []
    while bundle:
        size = int.from_bytes(bundle[:2], "big")
        leaves.append(bundle[2 : 2 + size])
        bundle = bundle[2 + size :]
    return leaves
