"""Resumable uploads of new bytes for an asset: with the last byte they are its next version."""

from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commands.call import CallContext, Receipt
from asset_ledger.ledger.ids import digest_of
from tests.api.calling import caller, serving_with_tokens
from tests.api.http.test_uploads import CONTENT, TUS, append, create, head, metadata, unfinished
from tests.api.running import Answer, Api, serving


async def begin(
    api: Api, asset: Any, length: int, headers: dict[str, str] | None = None, **fields: Any
) -> Answer:
    """Create an upload of new bytes."""
    declared = metadata(asset_id=asset if isinstance(asset, str) else asset["id"], **fields)
    return await create(api, length, {**(headers or {}), "Upload-Metadata": declared})


async def begun(api: Api, asset: Any, length: int, **fields: Any) -> str:
    """Create an upload of new bytes, and return its path."""
    answer = await begin(api, asset, length, **fields)
    assert answer.status == 201, answer.body
    return answer.headers["Location"]


async def now(api: Api, asset: Any) -> Any:
    return (await api.get(f"/api/assets/{asset['id']}")).json


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 200_000])
async def test_upload_in_pieces_becomes_the_next_version(api: Api, size: int) -> None:
    asset = await api.created(b"old", name="a", content_type="text/plain", node_id="n")
    content = CONTENT[:size]
    path = await begun(api, asset, size)

    last = await head(api, path)
    for offset in range(0, size, 70_000):
        last = await append(api, path, offset, content[offset : offset + 70_000])

    changed = await now(api, asset)
    assert (last.headers["Ledger-Asset"], changed["version"]) == (asset["id"], 2)
    assert (changed["digest"], changed["size"]) == (digest_of(content), size)
    kept = ("id", "name", "content_type", "node_id", "created_at")
    assert [changed[name] for name in kept] == [asset[name] for name in kept]
    assert (await api.get(asset["get_url"])).body == content
    assert (await api.get(f"{asset['get_url']}?version=1")).body == b"old"
    assert unfinished(api.backend.settings) == []


async def test_creation_beside_the_record_of_its_key_is_no_other_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, key = await api.created(b"old", name="a"), {"Idempotency-Key": "k"}
    edit = api.backend.ledger.edit
    look = edit.changed

    async def look_just_before(call: CallContext) -> Receipt | None:
        found = await look(call)
        await record()
        return found

    async def record() -> None:
        kind = {"Content-Type": "application/octet-stream"}
        path = f"/api/assets/{asset['id']}/content"
        await api.call("PUT", path, data=b"new", headers=key | kind)

    with monkeypatch.context() as patch:
        patch.setattr(edit, "changed", look_just_before)
        begun = await begin(api, asset, 3, headers=key)
    await record()
    again = await begin(api, asset, 3, headers=key)

    assert (begun.status, again.status) == (201, 201), begun.body
    assert again.headers["Ledger-Asset"] == asset["id"]
    assert (await now(api, asset))["version"] == 2


async def test_declared_fields_change_with_the_bytes(api: Api) -> None:
    asset = await api.created(b"old", name="a", content_type="text/plain")
    fields = {"filename": "b.json", "filetype": "application/json", "tags": ["t"], "duration": 2}

    path = await begun(api, asset, 2, size=2, digest=digest_of(b"{}"), **fields)
    answer = await append(api, path, 0, b"{}", Prefer="return=representation")

    assert answer.status == 200
    found = [answer.json[name] for name in ("name", "content_type", "tags", "duration", "size")]
    assert found == ["b.json", "application/json", ["t"], 2, 2]


async def test_an_unknown_type_keeps_that_of_the_asset(api: Api) -> None:
    asset = await api.created(b"old", content_type="text/plain")

    path = await begun(api, asset, 1, filetype="application/octet-stream")
    await append(api, path, 0, b"x")

    assert (await now(api, asset))["content_type"] == "text/plain"


@pytest.mark.parametrize(
    "field", [{"node_id": "n"}, {"data": "x"}, {"attempt": 1}, {"size": 4}, {"name": ""}]
)
async def test_a_field_that_no_version_has_is_refused(api: Api, field: dict[str, Any]) -> None:
    refused = await begin(api, await api.created(b"old"), 3, **field)

    assert (refused.status, refused.slug) == (422, "bad-field"), refused.body
    assert unfinished(api.backend.settings) == []


async def test_what_cannot_be_replaced_is_refused_before_its_bytes(api: Api) -> None:
    asset, gone = await api.created(b"old"), await api.created(b"gone")
    folder = await api.created(None, name="f", content_type="folder")
    await api.call("DELETE", f"/api/assets/{gone['id']}")

    for target, headers, status, slug in (
        (asset, {"If-Match": '"v7"'}, 412, "precondition-failed"),
        (gone, {}, 410, "asset-deleted"),
        (folder, {}, 422, "bad-field"),
        ("0" * 32, {}, 404, "unknown-asset"),
        ("?", {}, 404, "unknown-asset"),
    ):
        refused = await begin(api, target, 3, headers)
        assert (refused.status, refused.slug) == (status, slug)
    assert unfinished(api.backend.settings) == []


async def test_an_asset_of_another_user_is_unknown(tmp_path: Path) -> None:
    async with serving_with_tokens(tmp_path) as api:
        asset = (await caller(api, "ann").call("POST", "/api/assets", json={"name": "a"})).json
        sent = {**TUS, "Upload-Length": "3", "Upload-Metadata": metadata(asset_id=asset["id"])}

        refused = await caller(api, "bob").call("POST", "/api/uploads", headers=sent)

        assert (refused.status, refused.slug) == (404, "unknown-asset")


async def test_a_change_meanwhile_fails_if_match_and_ends_the_upload(api: Api) -> None:
    asset = await api.created(b"old")
    path = (await begin(api, asset, 3, {"If-Match": asset["etag"]})).headers["Location"]
    await api.call("PATCH", f"/api/assets/{asset['id']}", json={"name": "b"})

    refused = await append(api, path, 0, b"new")

    assert (refused.status, refused.slug) == (412, "precondition-failed")
    assert (await head(api, path)).status == 404
    assert (await now(api, asset))["digest"] == asset["digest"]
    assert unfinished(api.backend.settings) == []


async def test_a_deletion_meanwhile_is_refused_until_the_asset_is_restored(api: Api) -> None:
    asset = await api.created(b"old")
    path = await begun(api, asset, 3)
    await api.call("DELETE", f"/api/assets/{asset['id']}")

    refused = await append(api, path, 0, b"new")
    await api.call("POST", f"/api/assets/{asset['id']}/restore")
    finished = await append(api, path, 3, None)

    assert (refused.status, refused.slug) == (410, "asset-deleted")
    assert (finished.status, finished.headers["Ledger-Asset"]) == (204, asset["id"])
    assert (await now(api, asset))["digest"] == digest_of(b"new")


async def test_other_bytes_than_the_digest_end_the_upload(api: Api) -> None:
    asset = await api.created(b"old")
    path = await begun(api, asset, 3, digest=digest_of(b"abc"))

    refused = await append(api, path, 0, b"new")

    assert (refused.status, refused.slug) == (400, "digest-mismatch")
    assert (await now(api, asset))["version"] == 1
    assert unfinished(api.backend.settings) == []


async def test_the_bytes_that_an_asset_has_record_nothing(api: Api) -> None:
    asset = await api.created(b"old")

    last = await append(api, await begun(api, asset, 3), 0, b"old")

    assert (last.status, last.headers["Ledger-Asset"]) == (204, asset["id"])
    assert (await now(api, asset))["version"] == 1


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}])
async def test_a_finished_upload_names_its_asset_as_it_left_it(
    tmp_path: Path, key: dict[str, str]
) -> None:
    async with serving(Settings(data_dir=tmp_path)) as api:
        asset = await api.created(b"old")
        path = (await begin(api, asset, 3, key)).headers["Location"]
        last = await append(api, path, 0, b"new", **key)
        await api.call("PUT", f"/api/assets/{asset['id']}/content", data=b"newer")
    async with serving(Settings(data_dir=tmp_path)) as api:
        found = await api.call("GET", path, headers={**TUS, **key})
        again = await append(api, path, 3, None, Prefer="return=representation", **key)

    assert found.headers["ETag"] == last.headers["ETag"]
    assert found.headers["Upload-Offset"] == found.headers["Upload-Length"] == "3"
    assert found.json["id"] == path.rpartition("/")[2] != asset["id"]
    assert found.json["asset_id"] == again.json["id"] == asset["id"]
    assert again.json["version"] == 2


async def test_a_finished_upload_of_an_asset_that_changed_has_its_own_length(api: Api) -> None:
    path = (await create(api, 3, data=b"abc")).headers["Location"]
    await api.call("PUT", f"/api/assets/{path.rpartition('/')[2]}/content", data=b"longer")

    found = await head(api, path)

    assert found.headers["Upload-Offset"] == found.headers["Upload-Length"] == "3"


async def test_key_makes_the_new_version_safe_to_repeat(api: Api) -> None:
    asset, other = await api.created(b"old"), await api.created(b"other")
    key = {"Idempotency-Key": "k", "If-Match": asset["etag"]}

    first = await begin(api, asset, 6, key)
    await append(api, first.headers["Location"], 0, b"new")
    again = await begin(api, asset, 6, key)
    reused = [
        await begin(api, asset, 7, key),
        await begin(api, other, 6, key),
        await begin(api, asset, 6, {"Idempotency-Key": "k"}),
    ]
    await append(api, first.headers["Location"], 3, b"est")
    await api.call("DELETE", f"/api/assets/{asset['id']}")
    finished = await begin(api, asset, 6, {**key, "Prefer": "return=representation"})
    reused += [
        await begin(api, asset, 7, key),
        await begin(api, other, 6, key),
        await begin(api, asset, 6, {"Idempotency-Key": "k"}),
        await begin(api, asset, 6, key, digest=digest_of(b"oldest")),
        await create(api, 6, {"Idempotency-Key": "k"}),
    ]
    put = await api.call(
        "PUT",
        f"/api/assets/{asset['id']}/content",
        data=b"newest",
        headers=key,
        skip_auto_headers=["Content-Type"],
    )

    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Upload-Offset"] == "3"
    assert (finished.status, finished.json["digest"]) == (201, digest_of(b"newest"))
    assert finished.headers["Location"] == first.headers["Location"]
    assert finished.headers["Idempotency-Replayed"] == "true"
    assert [(each.status, each.slug) for each in reused] == [(422, "key-reused")] * 8
    assert (put.status, put.json["digest"]) == (200, digest_of(b"newest"))
    assert put.headers["Idempotency-Replayed"] == "true"
    assert unfinished(api.backend.settings) == []


async def test_whole_upload_is_recorded_after_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with serving(settings) as api:
        asset = await api.created(b"old")
        path = await begun(api, asset, 3)
        await api.call("DELETE", f"/api/assets/{asset['id']}")
        assert (await append(api, path, 0, b"new")).status == 410  # so it is whole, and stays
        await api.call("POST", f"/api/assets/{asset['id']}/restore")

    async with serving(settings) as api:
        found = await head(api, path)

        assert found.headers["Ledger-Asset"] == asset["id"]
        assert (await now(api, asset))["digest"] == digest_of(b"new")
