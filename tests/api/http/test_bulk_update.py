"""Bulk changes: tags and folder of assets by ids or filters; and bulk restores."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.ledger.commands import bulk_edit
from asset_ledger.ledger.ids import new_asset_id
from tests.api.calling import caller, serving_with_tokens
from tests.api.failing import fail_commits
from tests.api.http.test_operations import shaped
from tests.api.running import Answer, Api


async def update(api: Api, key: str | None = None, **body: Any) -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return await api.call("POST", "/api/assets/bulk-update", json=body, headers=headers)


async def restore(api: Api, ids: list[str], key: str = "") -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    path = "/api/assets/bulk-restore"
    return await api.call("POST", path, json={"ids": ids}, headers=headers)


async def tags(api: Api, *assets: Any) -> list[list[str]]:
    return [(await api.get(f"/api/assets/{each['id']}")).json["tags"] for each in assets]


async def delete(api: Api, *assets: Any) -> None:
    for each in assets:
        assert (await api.call("DELETE", f"/api/assets/{each['id']}")).status == 200


async def test_tags_are_added_and_removed_and_others_stay(api: Api) -> None:
    first = await api.created(tags=["a", "b"])
    second = await api.created(tags=["c"])
    same = await api.created(tags=["b", "d"])
    ids = [each["id"] for each in (first, second, same, first)]

    answer = await update(api, ids=ids, add_tags=["d", "b", "d"], remove_tags=["a", "x"])

    found = shaped("bulk_update", answer)
    assert found["count"] == 3
    assert found["updated_asset_ids"] == [first["id"], second["id"]]
    assert await tags(api, first, second, same) == [["b", "d"], ["c", "d", "b"], ["b", "d"]]
    assert answer.headers["Ledger-Position"] == str(api.head())


async def test_assets_are_moved_by_a_filter_with_the_expected_count(api: Api) -> None:
    folder = await api.created(None, name="f", content_type="folder")
    await asyncio.gather(*(api.created(job_id="j") for _ in range(3)))
    sent: dict[str, Any] = {"filter": {"job_id": ["j", "k"]}, "parent_id": folder["id"]}

    assert (await update(api, **sent, dry_run=True)).json == {"count": 3}
    refused = await update(api, **sent, expected_count=2)
    moved = await update(api, **sent, expected_count=3)

    assert refused.slug == "version-conflict"
    assert (moved.json["count"], len(moved.json["updated_asset_ids"])) == (3, 3)
    inside = await api.get(f"/api/assets?parent_id={folder['id']}&count=exact")
    assert inside.json["count"] == 3
    await update(api, ids=moved.json["updated_asset_ids"], parent_id="1")
    assert (await api.get(f"/api/assets?parent_id={folder['id']}&count=exact")).json["count"] == 0


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        *(({"ids": ["ID"]}, "bad-field"), ({"add_tags": ["x"]}, "bad-field")),
        ({"ids": ["ID"], "filter": {"job_id": "j"}, "add_tags": ["x"]}, "bad-field"),
        ({"filter": {"job_id": "j"}, "add_tags": ["x"]}, "bad-field"),
        ({"filter": {}, "add_tags": ["x"], "expected_count": 1}, "bad-field"),
        ({"filter": {"jobid": "j"}, "add_tags": ["x"], "expected_count": 1}, "bad-field"),
        ({"filter": {"size_min": "x"}, "add_tags": ["x"], "expected_count": 1}, "bad-parameter"),
        ({"ids": ["ID"], "add_tags": ["x"], "remove_tags": ["x"]}, "bad-field"),
        ({"ids": ["ID"], "add_tags": [""]}, "bad-field"),
        ({"ids": ["ID"], "add_tags": ["x" * 5_000]}, "bad-field"),
        ({"ids": ["ID"], "add_tags": ["a\u0000b"]}, "bad-field"),
        ({"ids": ["ID"], "parent_id": "ID"}, "bad-field"),
        ({"ids": ["ID"], "parent_id": "2"}, "bad-field"),
        ({"ids": ["ID", "\U0001f600"], "add_tags": ["x"]}, "unknown-asset"),
        ({"ids": ["ID", "0" * 32], "add_tags": ["x"]}, "unknown-asset"),
        ({"ids": ["ID", "GONE"], "add_tags": ["x"]}, "asset-deleted"),
        ({"ids": ["FOLDER"], "parent_id": "FOLDER"}, "bad-field"),
    ],
)
async def test_an_invalid_change_is_refused_and_changes_nothing(
    api: Api, body: dict[str, Any], slug: str
) -> None:
    asset, gone = await api.created(job_id="j"), await api.created()
    folder = await api.created(None, name="f", content_type="folder")
    await delete(api, gone)
    names = {"ID": asset["id"], "GONE": gone["id"], "FOLDER": folder["id"]}
    if "ids" in body:
        body = {**body, "ids": [names.get(each, each) for each in body["ids"]]}
    if "parent_id" in body:
        body = {**body, "parent_id": names.get(body["parent_id"], body["parent_id"])}
    head = api.head()

    assert (await update(api, **body)).slug == slug
    assert api.head() == head


async def test_a_repeated_change_has_the_first_answer(api: Api) -> None:
    assets = [await api.created(tags=["a"]) for _ in range(3)]
    ids = [each["id"] for each in assets]

    first = await update(api, "k", ids=ids, add_tags=["b"])
    await update(api, ids=ids, remove_tags=["b"])
    repeated = await update(api, "k", ids=ids, add_tags=["b"])
    other = await update(api, "k", ids=ids, add_tags=["c"])

    assert repeated.json == first.json
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert other.slug == "key-reused"
    assert await tags(api, *assets) == [["a"]] * 3


async def test_an_interrupted_change_is_finished_by_its_retry(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_edit, "BATCH", 2)
    assets = [await api.created(job_id="j") for _ in range(5)]
    body: dict[str, Any] = {"filter": {"job_id": "j", "missing": "node_id"}, "add_tags": ["x"]}
    with monkeypatch.context() as patch:
        fail_commits(patch, 1)
        assert (await update(api, "k", **body, expected_count=5)).status == 500
    assert sorted(await tags(api, *assets)) == [[], [], [], ["x"], ["x"]]

    answer = await update(api, "k", **body, expected_count=5)

    assert (answer.json["count"], len(answer.json["updated_asset_ids"])) == (5, 5)
    assert await tags(api, *assets) == [["x"]] * 5


async def test_an_interrupted_removal_of_its_own_filter_tag_is_finished_by_its_retry(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_edit, "BATCH", 2)
    assets = [await api.created(tags=["draft"]) for _ in range(4)]
    body: dict[str, Any] = {"filter": {"tag": "draft"}, "remove_tags": ["draft"]}
    with monkeypatch.context() as patch:
        fail_commits(patch, 1)
        assert (await update(api, "k", **body, expected_count=4)).status == 500

    later = await api.created(tags=["draft"])
    answers = [await update(api, "k", **body, expected_count=4) for _ in range(2)]

    for answer in answers:
        assert (answer.json["count"], len(answer.json["updated_asset_ids"])) == (4, 4)
    assert await tags(api, later) == [["draft"]]
    assert await tags(api, *assets) == [[]] * 4


async def test_two_changes_at_once_both_take_effect(api: Api) -> None:
    assets = [await api.created() for _ in range(20)]
    ids = [each["id"] for each in assets]

    answers = await asyncio.gather(*(update(api, ids=ids, add_tags=[tag]) for tag in "abc"))

    assert [answer.status for answer in answers] == [200] * 3
    assert [sorted(each) for each in await tags(api, *assets)] == [["a", "b", "c"]] * 20


async def test_deleted_assets_are_restored_together_with_their_folder(api: Api) -> None:
    folder = await api.created(None, name="f", content_type="folder")
    earlier = await api.created(name="earlier", parent_id=folder["id"])
    inside = await api.created(name="inside", parent_id=folder["id"])
    alone, live = await api.created(), await api.created()
    await delete(api, earlier, alone, folder)
    ids = [each["id"] for each in (earlier, folder, alone, live)]

    answer = await restore(api, ids, "k")
    repeated = await restore(api, ids, "k")

    assert shaped("bulk_restore", answer)["restored_asset_ids"] == ids[:3]
    assert repeated.json == answer.json
    for each in (earlier, inside):
        found = await api.get(f"/api/assets/{each['id']}")
        assert found.json["parent_id"] == folder["id"]
    assert answer.headers["Ledger-Position"] == str(api.head())


async def test_a_restore_with_an_unknown_asset_restores_none(api: Api) -> None:
    gone = await api.created()
    await delete(api, gone)

    assert (await restore(api, [gone["id"], new_asset_id()])).slug == "unknown-asset"
    assert (await restore(api, [])).slug == "bad-field"
    assert (await api.get(f"/api/assets/{gone['id']}")).slug == "asset-deleted"


async def test_assets_of_another_user_are_neither_changed_nor_restored(
    opened_data_dir: Path,
) -> None:
    async with serving_with_tokens(opened_data_dir) as served:
        alice, bob = caller(served, "alice"), caller(served, "bob")
        asset, gone = await alice.created(job_id="j"), await alice.created()
        await alice.call("DELETE", f"/api/assets/{gone['id']}")
        paths = {"bulk-update": asset, "bulk-restore": gone}
        for name, of_alice in paths.items():
            body: Any = {"ids": [of_alice["id"]]}
            if name == "bulk-update":
                body["add_tags"] = ["x"]
            answer = await bob.call("POST", f"/api/assets/{name}", json=body)
            assert answer.slug == "unknown-asset"
        body = {"filter": {"id": [asset["id"]]}, "add_tags": ["x"], "expected_count": 0}
        answer = await bob.call("POST", "/api/assets/bulk-update", json=body)
        assert answer.json == {"count": 0, "updated_asset_ids": []}


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "name", "-size"])
async def test_a_list_by_ids_has_exactly_these_assets(api: Api, sort: str) -> None:
    assets = [await api.created(b"x" * n, name=f"{n}") for n in range(5)]
    gone = await api.created(name="gone")
    await delete(api, gone)
    chosen = [assets[3]["id"], assets[1]["id"], gone["id"]]
    path = "/api/assets?" + "&".join(f"id={each}" for each in chosen)

    async def names(query: str = "") -> list[str]:
        answer = await api.get(f"{path}&sort={sort}&count=exact{query}")
        assert answer.json["next"] == ""
        assert answer.json["count"] == len(answer.json["assets"])
        return [each["name"] for each in answer.json["assets"]]

    assert await names() == (["3", "1"] if sort.startswith("-") else ["1", "3"])
    assert set(await names("&deleted=any")) == {"1", "3", "gone"}
    assert await names("&deleted=true") == ["gone"]
    assert await names("&name=3") == ["3"]
    usage = await api.get(path.replace("?", "/usage?") + f"&min_position={api.head()}")
    assert usage.json["usage"][0]["count"] == 2
    assert (await api.get("/api/assets?id=x")).slug == "bad-parameter"
