"""A client written for NodeTool's asset API: every field has the name and type it expects."""

import io
import zipfile
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import orjson
import pytest

from tests.api.running import Answer, Api

FIELDS = {
    "id": str,
    "user_id": str,
    "workflow_id": (str, type(None)),
    "parent_id": str,
    "name": str,
    "content_type": str,
    "size": int,
    "metadata": (dict, type(None)),
    "created_at": str,
    "get_url": (str, type(None)),
    "thumb_url": (str, type(None)),
    "duration": (float, type(None)),
    "node_id": (str, type(None)),
    "job_id": (str, type(None)),
    "etag": str,
}
HOME = "1"


@dataclass(frozen=True)
class NodeToolClient:
    """Sends every field of NodeTool's API, null where it has no value."""

    api: Api

    async def create(
        self, file: bytes | None = None, filename: str = "file.png", **fields: object
    ) -> Any:
        """Upload a form as a browser makes it: the file, and a part `json` if there are fields."""
        form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
        if file is not None:
            form.add_field("file", file, filename=filename, content_type="image/png")
        if fields:
            nothing = {"workflow_id": None, "node_id": None, "job_id": None, "metadata": None}
            form.add_field("json", orjson.dumps({**nothing, **fields}).decode())
        answer = await self.api.call("POST", "/api/assets/", data=form)
        assert answer.status in (200, 201), answer.body
        return asset(answer.json)

    async def index(self, **parameters: str) -> Any:
        """Return one page and its next cursor. Parameters with an empty value are sent."""
        answer = await self.api.get(f"/api/assets/?{urlencode(parameters)}")
        assert answer.status == 200, answer.body
        assert set(answer.json) == {"assets", "next"}
        return [asset(each) for each in answer.json["assets"]], answer.json["next"]

    async def get(self, asset_id: str) -> Any:
        answer = await self.api.get(f"/api/assets/{asset_id}")
        assert answer.status == 200, answer.body
        return asset(answer.json)

    async def update(self, asset_id: str, **fields: Any) -> Any:
        """Send all fields of the update request, null except those to change."""
        names = ("name", "parent_id", "content_type", "metadata", "data", "data_encoding")
        body = {name: fields.get(name) for name in (*names, "duration")}
        answer = await self.api.call("PUT", f"/api/assets/{asset_id}", json=body)
        assert answer.status == 200, answer.body
        return asset(answer.json)

    async def delete(self, asset_id: str) -> list[str]:
        answer = await self.api.call("DELETE", f"/api/assets/{asset_id}")
        assert answer.status == 200, answer.body
        deleted: list[str] = answer.json["deleted_asset_ids"]
        return deleted

    async def content(self, url: str) -> Answer:
        return await self.api.get(url)


def asset(fields: Any) -> Any:
    """Return the asset after checking that every expected field is present and has its type."""
    wrong = {n: fields.get(n, "absent") for n, kind in FIELDS.items() if not _is(fields, n, kind)}
    assert wrong == {}
    return fields


def _is(fields: Any, name: str, kind: Any) -> bool:
    return name in fields and isinstance(fields[name], kind)


@pytest.fixture
def client(api: Api) -> NodeToolClient:
    return NodeToolClient(api)


async def test_an_upload_of_a_file_alone_takes_its_name_and_type(client: NodeToolClient) -> None:
    made = await client.create(b"pixels", "Strand & Meer.png")

    assert (made["name"], made["content_type"], made["size"]) == (
        "Strand & Meer.png",
        "image/png",
        6,
    )
    assert (made["user_id"], made["parent_id"]) == (HOME, HOME)
    assert (await client.content(made["get_url"])).body == b"pixels"


async def test_an_upload_takes_its_fields_from_the_json_part(client: NodeToolClient) -> None:
    made = await client.create(
        b"pixels",
        name="output.png",
        content_type="image/webp",
        parent_id=HOME,
        workflow_id="w",
        node_id="n",
        job_id="j",
        metadata={"seed": 1},
    )

    origin = made["workflow_id"], made["node_id"], made["job_id"]
    assert origin == ("w", "n", "j")
    assert (made["name"], made["content_type"]) == ("output.png", "image/webp")
    assert made["metadata"] == {"seed": 1}
    assert await client.get(made["id"]) == made


async def test_a_folder_is_created_without_a_file(client: NodeToolClient) -> None:
    folder = await client.create(name="renders", content_type="folder", parent_id=HOME)
    inside = await client.create(b"x", name="in.png", content_type="image/png", **within(folder))

    assert (folder["size"], folder["get_url"]) == (0, None)
    assert (await client.index(parent_id=folder["id"]))[0] == [inside]
    assert await client.get(HOME) == await client.get(HOME)
    assert (await client.get(HOME))["content_type"] == "folder"


def within(folder: Any) -> dict[str, Any]:
    return {"parent_id": folder["id"]}


async def test_a_list_without_a_parent_shows_home_and_ends_with_an_empty_next(
    client: NodeToolClient,
) -> None:
    made = [await client.create(b"x", f"{number}.png") for number in range(3)]

    assert await client.index(parent_id="", cursor="") == (made, "")
    assert await client.index(parent_id=HOME, content_type="image/") == (made, "")
    assert await client.index(content_type="audio/", cursor="") == ([], "")


async def test_pages_are_linked_by_next(client: NodeToolClient) -> None:
    made = [await client.create(b"x", f"{number}.png") for number in range(5)]

    found, cursor = await client.index(page_size="2", cursor="")
    while cursor:
        page, cursor = await client.index(page_size="2", cursor=cursor)
        found += page

    assert found == made


async def test_an_update_keeps_null_fields_unchanged(client: NodeToolClient) -> None:
    made = await client.create(b"x", name="a", content_type="image/png", metadata={"k": 1})
    folder = await client.create(name="f", content_type="folder")

    renamed = await client.update(made["id"], name="b")
    moved = await client.update(made["id"], parent_id=folder["id"])
    retyped = await client.update(made["id"], content_type="image/jpeg")

    assert (renamed["name"], renamed["metadata"]) == ("b", {"k": 1})
    assert (moved["name"], moved["parent_id"]) == ("b", folder["id"])
    assert retyped["content_type"] == "image/jpeg"
    assert (await client.content(retyped["get_url"])).body == b"x"  # the content is kept


async def test_an_update_replaces_the_content(client: NodeToolClient) -> None:
    made = await client.create(b"x", name="a", content_type="text/plain")

    as_text = await client.update(made["id"], data="text")
    as_bytes = await client.update(made["id"], data="AAEC", data_encoding="base64")

    assert (as_text["size"], as_bytes["size"]) == (4, 3)
    assert (await client.content(made["get_url"])).body == b"\0\1\2"
    assert len({made["etag"], as_text["etag"], as_bytes["etag"]}) == 3


async def test_a_move_of_a_folder_into_itself_is_refused(client: NodeToolClient) -> None:
    folder = await client.create(name="f", content_type="folder")

    answer = await client.api.call(
        "PUT", f"/api/assets/{folder['id']}", json={"parent_id": folder["id"]}
    )

    assert answer.status == 422


async def test_a_deletion_lists_the_deleted_assets(client: NodeToolClient) -> None:
    folder = await client.create(name="f", content_type="folder")
    inside = await client.create(b"x", name="in", content_type="image/png", **within(folder))

    deleted = await client.delete(folder["id"])

    assert set(deleted) == {folder["id"], inside["id"]}
    assert await client.index(parent_id="") == ([], "")


async def test_a_search_names_the_folder_of_each_asset(client: NodeToolClient) -> None:
    folder = await client.create(name="Beach", content_type="folder")
    inside = await client.create(b"x", name="wave_100%.png", content_type="i/p", **within(folder))
    await client.api.settled()

    answer = await client.api.get(f"/api/assets/search?query={quote('00%')}")

    (found,) = answer.json["assets"]
    assert asset(found)["id"] == inside["id"]
    assert (found["folder_name"], found["folder_id"]) == ("Beach", folder["id"])
    assert (answer.json["total_count"], answer.json["next_cursor"]) == (1, "")
    assert answer.json["is_global_search"] is True


async def test_an_asset_is_found_by_its_file_name(client: NodeToolClient) -> None:
    made = await client.create(b"x", "a b.png")

    answer = await client.api.get(f"/api/assets/by-filename/{quote('a b.png')}")

    assert (answer.status, answer.json) == (200, made)


async def test_a_folder_is_listed_and_downloaded_with_all_its_contents(
    client: NodeToolClient,
) -> None:
    folder = await client.create(name="f", content_type="folder")
    inner = await client.create(name="g", content_type="folder", **within(folder))
    await client.create(b"one", name="a.png", content_type="image/png", **within(folder))
    await client.create(b"two", name="../a.png", content_type="image/png", **within(inner))

    listed = await client.api.get(f"/api/assets/{folder['id']}/recursive")
    packed = await client.api.call(
        "POST", "/api/assets/download", json={"asset_ids": [folder["id"]]}
    )

    assert {each["name"] for each in listed.json["assets"]} == {"g", "a.png", "../a.png"}
    with zipfile.ZipFile(io.BytesIO(packed.body)) as archive:
        names = archive.namelist()
        contents = {archive.read(name) for name in names}
    assert {b"one", b"two"} <= contents
    assert not any(".." in name.split("/") for name in names)


async def test_invalid_requests_are_answered_with_4xx(client: NodeToolClient) -> None:
    """NodeTool answers some of these with 500."""
    made = await client.create(b"x")
    url = f"/api/assets/{made['id']}"

    answers = [
        await client.api.get("/api/assets/unknown"),
        await client.api.get("/api/assets/?page_size=zero"),
        await client.api.get("/api/assets/?cursor=of+another+query"),
        await client.api.call("PUT", url, json={"parent_id": "unknown"}),
        await client.api.call("PUT", url, json={"data": "!", "data_encoding": "base64"}),
        await client.api.call("POST", "/api/assets/", json={"content_type": "folder"}),
    ]

    assert [answer.status for answer in answers] == [404, 400, 400, 422, 422, 422]


async def test_ranges_ignored_by_nodetool_are_answered(client: NodeToolClient) -> None:
    made = await client.create(b"0123456789")
    url = made["get_url"]

    head = await client.api.call("HEAD", url)
    since = await client.api.get(url, Range="bytes=7-")
    last = await client.api.get(url, Range="bytes=-2")

    assert head.headers["Content-Length"] == "10"
    assert (since.status, since.body) == (206, b"789")
    assert (last.status, last.body) == (206, b"89")
