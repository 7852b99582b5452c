"""Changes of assets through HTTP: labels, contents, folders, preconditions, restores."""

import asyncio
import base64
from typing import Any

import orjson
import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commands import delete as deletion
from asset_ledger.ledger.commands import restore as restoration
from asset_ledger.ledger.ids import digest_of
from tests.api.failing import fail_commits
from tests.api.running import Answer, Api, serving

UNKNOWN = "0" * 32
MERGE = {"Content-Type": "application/merge-patch+json"}


def path(asset: Any) -> str:
    return f"/api/assets/{asset['id']}"


async def put(api: Api, asset: Any, fields: Any, **headers: str) -> Answer:
    body, json = orjson.dumps(fields), {"Content-Type": "application/json"}
    return await api.call("PUT", path(asset), data=body, headers={**json, **_names(headers)})


async def patch(api: Api, asset: Any, fields: Any, **headers: str) -> Answer:
    return await api.call("PATCH", path(asset), json=fields, headers={**MERGE, **_names(headers)})


async def restore(api: Api, asset: Any, **headers: str) -> Answer:
    return await api.call("POST", f"{path(asset)}/restore", headers=_names(headers))


async def delete(api: Api, asset: Any, **headers: str) -> Answer:
    return await api.call("DELETE", path(asset), headers=_names(headers))


async def folder(api: Api, name: str = "f", **fields: Any) -> Any:
    return await api.created(None, name=name, content_type="folder", **fields)


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class TestLabels:
    async def test_put_changes_only_fields_with_a_value(self, api: Api) -> None:
        asset = await api.created(name="a", tags=["x"], metadata={"k": 1}, duration=2, job_id="j")

        answer = await put(
            api, asset, {"name": "b", "metadata": None, "tags": None, "job_id": None, "data": None}
        )

        thumbnail = asset["thumb_url"].replace("version=1", "version=2")
        changed = {"name": "b", "version": 2, "etag": "v2", "thumb_url": thumbnail}
        assert answer.status == 200, answer.body
        assert answer.json == {
            **asset,
            **changed,
            "position": api.head(),
            "updated_at": answer.json["updated_at"],
        }
        assert (await api.get(path(asset))).json == answer.json

    async def test_patch_clears_null_fields(self, api: Api) -> None:
        asset = await api.created(name="a", tags=["x"], metadata={"k": 1}, duration=2)

        answer = await patch(api, asset, {"metadata": None, "tags": None, "duration": None})

        assert answer.status == 200, answer.body
        cleared = answer.json["metadata"], answer.json["tags"], answer.json["duration"]
        assert cleared == (None, [], None)
        assert answer.json["name"] == "a"
        assert answer.headers["Ledger-Position"] == str(api.head())
        assert answer.headers["ETag"] == (await api.get(path(asset))).headers["ETag"]

    async def test_a_change_is_answered_without_a_body_when_minimal_is_preferred(
        self, api: Api
    ) -> None:
        asset = await api.created()

        answer = await put(api, asset, {"name": "b"}, Prefer="return=minimal")

        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Preference-Applied"] == "return=minimal"
        assert answer.headers["ETag"].startswith('W/"v2-')
        assert answer.headers["Ledger-Position"] == str(api.head())

    @pytest.mark.parametrize(
        "prefer", ["respond-async, return=minimal", "return=minimal; foo=1", 'Return="minimal"']
    )
    async def test_the_prefer_header_is_read_in_every_valid_spelling(
        self, api: Api, prefer: str
    ) -> None:
        asset = await api.created()

        answer = await put(api, asset, {"name": "b"}, Prefer=prefer)

        assert (answer.status, answer.body) == (204, b"")

    async def test_the_prefer_header_is_read_from_every_line(self, api: Api) -> None:
        answer = await api.raw(
            b"POST /api/assets?name=n HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Prefer: respond-async\r\nPrefer: return=minimal\r\nContent-Length: 0\r\n\r\n"
        )

        assert b"\r\nPreference-Applied: return=minimal\r\n" in answer

    async def test_if_none_match_star_refuses_a_write_when_the_asset_exists(self, api: Api) -> None:
        asset = await api.created()

        changed = await put(api, asset, {"name": "b"}, If_None_Match="*")
        deleted = await api.call("DELETE", path(asset), headers={"If-None-Match": "*"})

        assert [answer.slug for answer in (changed, deleted)] == ["precondition-failed"] * 2
        assert (await api.get(path(asset))).json == asset

    async def test_a_patch_merges_metadata_and_a_put_replaces_it(self, api: Api) -> None:
        asset = await api.created(metadata={"a": {"b": 1, "c": [1]}, "d": 2})

        answer = await patch(
            api, asset, {"metadata": {"a": {"b": None, "e": {"f": None}}, "d": []}}
        )
        replaced = await put(api, asset, {"metadata": {"z": 1}})

        assert answer.json["metadata"] == {"a": {"c": [1], "e": {}}, "d": []}
        assert replaced.json["metadata"] == {"z": 1}

    async def test_a_change_to_the_present_values_records_nothing(self, api: Api) -> None:
        asset = await api.created(name="a", tags=["x"], metadata={"k": 1})
        head = api.head()

        for answer in (
            await put(api, asset, {"name": "a", "tags": ["x"]}),
            await patch(api, asset, {"metadata": {"k": 1}}),
            await patch(api, asset, {}),
            await put(api, asset, {"data": "content"}),
        ):
            assert (answer.status, answer.json) == (200, asset)
        assert api.head() == head

    async def test_a_patch_accepts_plain_json_and_no_other_content_type(self, api: Api) -> None:
        asset = await api.created()

        plain = await api.call("PATCH", path(asset), json={"name": "b"})
        odd = await api.call("PATCH", path(asset), data=b"{}", headers={"Content-Type": "a/b"})
        merge = await api.call("PUT", path(asset), data=b"{}", headers=MERGE)

        assert (plain.status, plain.json["name"]) == (200, "b")
        assert (odd.status, odd.slug) == (merge.status, merge.slug) == (415, "unsupported-type")

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"node_id": "n"}, ["node_id"]),
            ({"job_id": "j", "workflow_id": "w"}, ["job_id", "workflow_id"]),
            ({"derived_from": []}, ["derived_from"]),
            ({"colour": "red"}, ["colour"]),
            ({"name": 1, "tags": "a"}, ["name", "tags"]),
            ({"name": ""}, ["name"]),
            ({"content_type": "folder"}, ["content_type"]),
            ({"parent_id": "nowhere"}, ["parent_id"]),
            ({"parent_id": UNKNOWN}, ["parent_id"]),
            ({"duration": -1}, ["duration"]),
        ],
    )
    @pytest.mark.parametrize("method", [put, patch])
    async def test_an_invalid_field_is_named_in_the_refusal(
        self, api: Api, method: Any, fields: Any, named: list[str]
    ) -> None:
        asset, head = await api.created(), api.head()

        answer = await method(api, asset, fields)

        assert (answer.status, answer.slug) == (422, "bad-field")
        assert sorted(error["field"] for error in answer.json["errors"]) == named
        assert api.head() == head

    @pytest.mark.parametrize("fields", [{"name": None}, {"content_type": None}, {"node_id": None}])
    async def test_a_patch_cannot_clear_a_required_field(self, api: Api, fields: Any) -> None:
        answer = await patch(api, await api.created(), fields)

        assert (answer.status, answer.slug) == (422, "bad-field")

    async def test_a_missing_or_deleted_asset_is_refused_before_fields_are_checked(
        self, api: Api
    ) -> None:
        gone = await api.created()
        await delete(api, gone)

        for asset, status in (({"id": UNKNOWN}, 404), ({"id": "x"}, 404), (gone, 410)):
            for answer in (
                await put(api, asset, {"colour": "red"}),
                await patch(api, asset, {"name": None}),
                await put(api, asset, {"data": "?", "data_encoding": "base64"}),
                await api.call("PUT", path(asset), data=b"{", headers={"Content-Type": "a/b"}),
            ):
                assert answer.status == status, answer.body


class TestContents:
    @pytest.mark.parametrize("size", [0, 1, 65_537, 3_000_000])
    async def test_data_replaces_the_content_and_keeps_the_old_version(
        self, api: Api, size: int
    ) -> None:
        asset = await api.created(b"old", name="a", content_type="text/plain")
        content = (bytes(range(256)) * (size // 256 + 1))[:size]
        data = base64.b64encode(content).decode()

        answer = await put(api, asset, {"data": data, "data_encoding": "base64", "name": "b"})

        assert answer.status == 200, answer.body
        assert (answer.json["size"], answer.json["digest"]) == (size, digest_of(content))
        assert (answer.json["name"], answer.json["version"]) == ("b", 3)
        assert answer.json["content_type"] == "text/plain"
        assert (await api.get(asset["get_url"])).body == content
        assert (await api.get(f"{asset['get_url']}?version=1")).body == b"old"
        assert (await api.get(f"{asset['get_url']}?version=2")).body == content

    async def test_data_without_an_encoding_is_text(self, api: Api) -> None:
        asset = await api.created(None, name="note", content_type="text/plain")

        answer = await put(api, asset, {"data": "grün: ✓", "content_type": "text/markdown"})

        assert (answer.status, answer.json["content_type"]) == (200, "text/markdown")
        assert (await api.get(answer.json["get_url"])).body == "grün: ✓".encode()
        assert answer.json["version"] == 2

    @pytest.mark.parametrize("data", ["?", "AAA", "AA==AAAA", "AAAA\n", "ä"])
    async def test_data_is_refused_when_invalid_in_its_encoding(self, api: Api, data: str) -> None:
        answer = await put(api, await api.created(), {"data": data, "data_encoding": "base64"})

        assert (answer.status, answer.slug) == (422, "bad-field")
        assert [error["field"] for error in answer.json["errors"]] == ["data"]

    async def test_a_folder_refuses_data(self, api: Api) -> None:
        answer = await put(api, await folder(api), {"data": "x"})

        assert (answer.status, answer.slug) == (422, "bad-field")

    async def test_data_above_the_upload_limit_is_refused(self, data_dir: Any) -> None:
        async with serving(Settings(data_dir=data_dir, max_upload_bytes=10)) as api:
            answer = await put(api, await api.created(b"old"), {"data": "x" * 11})

        assert (answer.status, answer.slug) == (413, "too-large")

    async def test_a_missing_version_is_unknown(self, api: Api) -> None:
        asset, renders = await api.created(), await folder(api)

        for suffix in ("", "/content"):
            missing = await api.get(f"{path(asset)}{suffix}?version=2")
            odd = await api.get(f"{path(asset)}{suffix}?version=0")
            assert (missing.status, missing.slug) == (404, "unknown-asset")
            assert (odd.status, odd.slug) == (400, "bad-parameter")
        assert (await api.get(f"{path(renders)}/content?version=1")).status == 404

    async def test_an_asset_is_read_at_a_past_version(self, api: Api) -> None:
        asset = await api.created(name="a")
        await patch(api, asset, {"name": "b"})

        first = await api.get(f"{path(asset)}?version=1")
        second = await api.get(f"{path(asset)}?version=2")

        assert first.json == asset
        assert first.headers["ETag"].startswith('W/"v1-')
        assert second.json["name"] == "b"

    async def test_a_deleted_asset_shows_no_past_version(self, api: Api) -> None:
        asset = await api.created()
        await delete(api, asset)

        assert (await api.get(f"{path(asset)}?version=1")).status == 410
        assert (await api.get(f"{path(asset)}/content?version=1")).status == 410


class TestFolders:
    async def test_an_asset_moves_into_a_folder_and_back_home(self, api: Api) -> None:
        asset, renders = await api.created(), await folder(api)

        inside = await put(api, asset, {"parent_id": renders["id"]})
        home = await put(api, asset, {"parent_id": "1"})
        back = await put(api, asset, {"parent_id": renders["id"]})
        cleared = await patch(api, asset, {"parent_id": None})

        parents = [answer.json["parent_id"] for answer in (inside, home, back, cleared)]
        assert parents == [renders["id"], "1", renders["id"], "1"]

    async def test_a_folder_cannot_move_into_itself(self, api: Api) -> None:
        outer = await folder(api)
        inner = await folder(api, parent_id=outer["id"])
        innermost = await folder(api, parent_id=inner["id"])

        for parent in (outer, inner, innermost):
            answer = await put(api, outer, {"parent_id": parent["id"]})
            assert (answer.status, answer.slug) == (422, "bad-field")
            assert "inside of itself" in answer.json["detail"]

    async def test_concurrent_moves_of_two_folders_into_each_other_record_one_move(
        self, api: Api
    ) -> None:
        for _ in range(5):
            a, b = await folder(api), await folder(api)
            deep = await folder(api, parent_id=b["id"])

            answers = await asyncio.gather(
                put(api, a, {"parent_id": deep["id"]}), put(api, b, {"parent_id": a["id"]})
            )

            assert sorted(answer.status for answer in answers) == [200, 422]

    async def test_a_move_into_anything_but_a_live_folder_is_refused(self, api: Api) -> None:
        asset, file, gone = await api.created(), await api.created(), await folder(api)
        await delete(api, gone)

        for parent in (file["id"], gone["id"], UNKNOWN):
            answer = await put(api, asset, {"parent_id": parent})
            assert (answer.status, answer.slug) == (422, "bad-field")

    async def test_a_create_racing_a_deletion_leaves_no_asset_in_a_deleted_folder(
        self, api: Api
    ) -> None:
        for _ in range(5):
            parent = await folder(api)

            created, _, moved = await asyncio.gather(
                api.upload(name="in", parent_id=parent["id"]),
                delete(api, parent),
                api.upload(name="in too", parent_id=parent["id"]),
            )

            assert {created.status, moved.status} <= {201, 422}
            assert await api.backend.projections.orphans(10) == []

    async def test_home_is_a_folder_with_the_users_id(self, api: Api) -> None:
        home = await api.get("/api/assets/1")

        assert (home.status, home.json["id"], home.json["content_type"]) == (200, "1", "folder")
        assert home.json["parent_id"] == ""
        assert (await put(api, home.json, {"name": "x"})).status == 404
        assert (await delete(api, home.json)).status == 404


class TestPreconditions:
    async def test_if_match_compares_only_the_version(self, api: Api) -> None:
        asset = await api.created()

        for version, tag in enumerate(('W/"v1-1"', '"v2"', "v3", 'W/"v4-99"', "*"), 1):
            answer = await put(api, asset, {"name": f"n{version}"}, If_Match=tag)
            assert (answer.status, answer.json["version"]) == (200, version + 1)

    @pytest.mark.parametrize("tag", ['W/"v1-1"', '"v3"', '"other"', '"sha256:00"'])
    async def test_a_write_is_refused_when_if_match_names_another_version(
        self, api: Api, tag: str
    ) -> None:
        asset = await api.created()
        await put(api, asset, {"name": "b"})
        head = api.head()

        for answer in (
            await put(api, asset, {"name": ""}, If_Match=tag),
            await patch(api, asset, {"name": "c"}, If_Match=tag),
            await delete(api, asset, If_Match=tag),
            await restore(api, asset, If_Match=tag),
        ):
            assert (answer.status, answer.slug) == (412, "precondition-failed")
            assert answer.json["version"] == 2
        assert api.head() == head

    async def test_if_match_refuses_several_tags(self, api: Api) -> None:
        answer = await put(api, await api.created(), {"name": "b"}, If_Match='"v1", "v2"')

        assert (answer.status, answer.slug) == (400, "bad-parameter")

    async def test_only_the_first_of_concurrent_writes_with_the_same_if_match_succeeds(
        self, api: Api
    ) -> None:
        asset = await api.created()

        answers = await asyncio.gather(
            *(put(api, asset, {"name": f"{n}"}, If_Match='"v1"') for n in range(8))
        )

        assert sorted(answer.status for answer in answers) == [200] + [412] * 7
        assert (await api.get(path(asset))).json["version"] == 2

    async def test_all_concurrent_writes_succeed_without_a_precondition(self, api: Api) -> None:
        asset = await api.created()

        answers = await asyncio.gather(*(put(api, asset, {"name": f"{n}"}) for n in range(4)))

        assert {answer.status for answer in answers} == {200}
        assert (await api.get(path(asset))).json["version"] == 5


class TestRetries:
    async def test_a_repeated_change_is_replayed_after_later_changes(self, api: Api) -> None:
        asset, key = await api.created(), "k"
        fields = {"name": "b", "data": "new", "data_encoding": None}
        first = await put(api, asset, fields, Idempotency_Key=key, If_Match='"v1"')
        await put(api, asset, {"name": "c"})
        edited = await put(api, asset, fields, Idempotency_Key=key, If_Match='"v1"')
        await delete(api, asset)
        head = api.head()

        deleted = await put(api, asset, fields, Idempotency_Key=key, If_Match='"v1"')

        for replay in (edited, deleted):
            assert (replay.status, replay.json) == (200, first.json)
            assert replay.headers["Idempotency-Replayed"] == "true"
            assert replay.headers["Ledger-Position"] == first.headers["Ledger-Position"]
        assert api.head() == head

    async def test_a_key_is_refused_when_reused_for_another_change(self, api: Api) -> None:
        asset = await api.created()
        await patch(api, asset, {"metadata": None, "name": "b"}, Idempotency_Key="k")

        for answer in (
            await patch(api, asset, {"name": "b"}, Idempotency_Key="k"),
            await put(api, asset, {"name": "b", "data": "x"}, Idempotency_Key="k"),
            await restore(api, asset, Idempotency_Key="k"),
        ):
            assert (answer.status, answer.slug) == (422, "key-reused")

    async def test_a_repeated_restore_is_replayed(self, api: Api) -> None:
        asset = await api.created()
        await delete(api, asset)

        first = await restore(api, asset, Idempotency_Key="k")
        await put(api, asset, {"name": "later"})
        repeated = await restore(api, asset, Idempotency_Key="k")

        assert (repeated.json, repeated.headers["Idempotency-Replayed"]) == (first.json, "true")


class TestRestoring:
    async def test_a_restored_asset_has_its_former_fields_and_content(self, api: Api) -> None:
        asset = await api.created(b"bytes", name="a", job_id="j")
        await delete(api, asset)

        answer = await restore(api, asset)

        same = ("name", "digest", "job_id", "created_at", "parent_id")
        assert answer.status == 200
        assert [answer.json[name] for name in same] == [asset[name] for name in same]
        assert answer.json["version"] == 3
        assert (await api.get(asset["get_url"])).body == b"bytes"
        assert len((await api.get("/api/assets?job_id=j")).json["assets"]) == 1

    async def test_a_restore_of_a_live_asset_records_nothing(self, api: Api) -> None:
        asset = await api.created()
        head = api.head()

        assert (await restore(api, asset)).json == asset
        assert (await restore(api, {"id": UNKNOWN})).status == 404
        assert api.head() == head

    async def test_a_restored_asset_moves_home_when_its_folder_is_deleted(self, api: Api) -> None:
        parent = await folder(api)
        asset = await api.created(parent_id=parent["id"])
        await delete(api, parent)

        answer = await restore(api, asset)

        assert (answer.status, answer.json["parent_id"]) == (200, "1")
        assert answer.headers["Ledger-Position"] == str(api.head())
        assert await api.backend.projections.orphans(10) == []

    async def test_a_restored_folder_brings_back_the_assets_deleted_with_it(self, api: Api) -> None:
        parent = await folder(api)
        inner = await folder(api, parent_id=parent["id"])
        kept = [await api.created(parent_id=p["id"]) for p in (parent, inner, inner)]
        before = await api.created(parent_id=inner["id"])
        await delete(api, before)
        await delete(api, parent)

        answer = await restore(api, parent)

        for asset in (inner, *kept):
            shown = (await api.get(path(asset))).json
            assert shown["parent_id"] == asset["parent_id"]
        assert (await api.get(path(before))).status == 410
        assert answer.headers["Ledger-Position"] == str(api.head())

    async def test_a_second_restore_of_a_folder_keeps_later_deletions(self, api: Api) -> None:
        parent = await folder(api)
        asset = await api.created(parent_id=parent["id"])
        await delete(api, parent)
        await restore(api, parent)
        await delete(api, asset)

        await restore(api, parent)

        assert (await api.get(path(asset))).status == 410

    @pytest.mark.parametrize("has_key", [False, True])
    async def test_an_interrupted_restore_of_a_folder_is_completed_by_its_repetition(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, has_key: bool
    ) -> None:
        monkeypatch.setattr(restoration, "BATCH", 2)
        for recorded in range(1, 6):
            parent = await folder(api)
            headers = {"Idempotency_Key": parent["id"]} if has_key else {}
            inner = await folder(api, parent_id=parent["id"])
            innermost = await folder(api, parent_id=inner["id"])
            above = [parent] * 3 + [inner] * 2 + [innermost]
            inside = [await api.created(parent_id=each["id"]) for each in above]
            await delete(api, inside.pop(0))
            await delete(api, parent)
            with monkeypatch.context() as patch:
                fail_commits(patch, recorded)
                cut = await restore(api, parent, **headers)

            repeated = await restore(api, parent, **headers)

            assert (cut.status, repeated.status) == (500, 200)
            assert [(await api.get(path(each))).status for each in inside] == [200] * 5

    async def test_a_large_folder_is_restored_completely(self, api: Api) -> None:
        parent = await folder(api)
        await asyncio.gather(*(api.created(parent_id=parent["id"]) for _ in range(600)))
        deleted = await delete(api, parent)

        await restore(api, parent)

        listed = await api.get(f"/api/assets?parent_id={parent['id']}&page_size=1000")
        assert len(deleted.json["deleted_asset_ids"]) == 601
        assert len(listed.json["assets"]) == 600

    async def test_a_folder_restored_during_its_deletion_keeps_all_assets(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deletion, "BATCH", 8)
        parent = await folder(api)
        await asyncio.gather(*(api.created(parent_id=parent["id"]) for _ in range(100)))

        deleting = asyncio.create_task(delete(api, parent))
        while (await api.get(path(parent))).status == 200:
            pass
        restored = await restore(api, parent)
        deleted = await deleting

        listed = await api.get(f"/api/assets?parent_id={parent['id']}&page_size=1000")
        assert (restored.status, deleted.status) == (200, 200)
        assert len(listed.json["assets"]) == 100
        assert await api.backend.projections.orphans(10) == []

    async def test_an_asset_moved_out_of_a_folder_is_not_deleted_with_the_folder(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deletion, "BATCH", 1)
        parent = await folder(api)
        inside = [await api.created(parent_id=parent["id"]) for _ in range(20)]

        deleting = asyncio.create_task(delete(api, parent))
        moved = await put(api, inside[-1], {"parent_id": "1"})
        gone = (await deleting).json["deleted_asset_ids"]

        assert (inside[-1]["id"] in gone) == (moved.status == 410)
        assert (await api.get(path(inside[-1]))).status == {200: 200, 410: 410}[moved.status]
