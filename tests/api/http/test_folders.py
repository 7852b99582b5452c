"""Folders with all their contents: as one list, and as one zip."""

import io
import struct
import zipfile
import zlib
from typing import Any

import pytest

from asset_ledger.api.contract.shapes import AssetTree
from asset_ledger.ledger.ids import new_asset_id
from asset_ledger.projections.queries import folders
from tests.api.running import Answer, Api


async def folder(api: Api, name: str, parent: Any = None) -> Any:
    inside = {"parent_id": parent["id"]} if parent else {}
    return await api.created(None, name=name, content_type="folder", **inside)


async def tree(api: Api, folder_id: str) -> list[str]:
    answer = await api.get(f"/api/assets/{folder_id}/recursive")
    assert answer.status == 200, answer.body
    AssetTree.model_validate(answer.json)
    return [asset["name"] for asset in answer.json["assets"]]


async def test_a_tree_lists_all_assets_below_a_folder_at_any_depth(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "PAGE", 2)
    top = await folder(api, "top")
    await api.created(name="beside")
    await api.created(name="a", parent_id=top["id"])
    middle = await folder(api, "middle", top)
    await api.created(name="b", parent_id=top["id"])
    gone, *_ = [await api.created(name=name, parent_id=middle["id"]) for name in "xcd"]
    await folder(api, "bottom", middle)
    await api.call("DELETE", f"/api/assets/{gone['id']}")

    assert await tree(api, top["id"]) == ["a", "middle", "b", "c", "d", "bottom"]
    assert await tree(api, "1") == ["top", "beside", "a", "middle", "b", "c", "d", "bottom"]
    assert await tree(api, gone["parent_id"]) == ["c", "d", "bottom"]
    head = await api.call("HEAD", f"/api/assets/{top['id']}/recursive")
    assert (head.status, head.body) == (200, b"")


async def test_a_tree_of_an_empty_folder_or_a_file_is_empty(api: Api) -> None:
    assert await tree(api, (await folder(api, "empty"))["id"]) == []
    assert await tree(api, (await api.created())["id"]) == []


async def test_a_tree_of_a_deleted_or_unknown_folder_is_refused(api: Api) -> None:
    gone = await folder(api, "gone")
    await api.call("DELETE", f"/api/assets/{gone['id']}")

    assert (await api.get(f"/api/assets/{gone['id']}/recursive")).slug == "asset-deleted"
    for unknown in (new_asset_id(), "2", "x"):
        assert (await api.get(f"/api/assets/{unknown}/recursive")).slug == "unknown-asset"


async def download(api: Api, *ids: str) -> Answer:
    return await api.call("POST", "/api/assets/download", json={"asset_ids": list(ids)})


async def unpacked(api: Api, *ids: str) -> dict[str, bytes]:
    answer = await download(api, *ids)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def test_a_zip_holds_contents_in_their_folders_under_safe_names(api: Api) -> None:
    top = await folder(api, "Top: all")
    inner = await folder(api, "..", top)
    large = bytes(range(256)) * 1_000
    inside = {"parent_id": top["id"]}
    await api.created(b"1", name="cat.png", **inside)
    await api.created(b"2", name="CAT.png", **inside)
    await api.created(large, name="../../evil", parent_id=inner["id"])
    await api.created(b"", name="empty", **inside)
    await api.created(None, name="no content", **inside)
    lone = await api.created(b"lone", name="/etc/passwd")

    assert await unpacked(api, lone["id"], top["id"]) == {
        "_etc_passwd": b"lone",
        "Top_ all/": b"",
        "Top_ all/_/": b"",
        "Top_ all/cat.png": b"1",
        "Top_ all/CAT (2).png": b"2",
        "Top_ all/empty": b"",
        "Top_ all/no content": b"",
        "Top_ all/_/.._.._evil": large,
    }


def streamed_entries(archive: bytes) -> dict[str, bytes]:
    """Read a zip from its beginning, as Java's ZipInputStream does: without its directory."""
    found, rest = {}, archive
    while rest.startswith(b"PK\3\4"):
        flags, method, *_, name_size, extra_size = struct.unpack("<4x2xHH2x2x4x4x4xHH", rest[:30])
        assert (flags & 8, method) == (8, zipfile.ZIP_DEFLATED)  # else no reader knows the end
        start = 30 + name_size + extra_size
        inflated = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflated.decompress(rest[start:])
        assert inflated.eof
        found[rest[30 : 30 + name_size].decode()] = content
        assert inflated.unused_data.startswith(b"PK\7\x08")
        rest = inflated.unused_data[16:]
    return found


async def test_a_zip_can_be_read_while_it_arrives(api: Api) -> None:
    contents = {"empty": b"", "short": b"hello", "large": bytes(range(256)) * 1_000}
    assets = [await api.created(content, name=name) for name, content in contents.items()]

    answer = await download(api, *[asset["id"] for asset in assets])

    assert streamed_entries(answer.body) == contents


async def test_a_zip_holds_an_asset_once_when_requested_twice(api: Api) -> None:
    top = await folder(api, "top")
    inner = await folder(api, "inner", top)
    file = await api.created(b"x", name="file", parent_id=inner["id"])
    ids = [inner["id"], file["id"], top["id"], inner["id"]]

    assert await unpacked(api, *ids) == {"inner/": b"", "inner/file": b"x", "top/": b""}


async def test_an_invalid_zip_request_is_refused_before_the_first_byte(api: Api) -> None:
    asset, gone = await api.created(), await api.created()
    await api.call("DELETE", f"/api/assets/{gone['id']}")

    assert (await download(api, asset["id"], new_asset_id())).slug == "unknown-asset"
    assert (await download(api, asset["id"], gone["id"])).slug == "asset-deleted"
    assert (await download(api, "../x")).slug == "unknown-asset"
    assert (await download(api)).slug == "bad-field"
    body = {"asset_ids": asset["id"]}
    assert (await api.call("POST", "/api/assets/download", json=body)).slug == "bad-field"
    assert (await api.call("POST", "/api/assets/download", json={})).slug == "bad-field"
    assert (await api.call("POST", "/api/assets/download", data=b"x")).slug == "unsupported-type"


async def sent_as_form(api: Api, body: bytes, **headers: str) -> Answer:
    sent = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.call("POST", "/api/assets/download", data=body, headers=sent)


async def test_a_form_downloads_the_same_zip(api: Api) -> None:
    assets = [await api.created(name.encode(), name=name) for name in "ab"]
    body = "&".join(f"asset_ids={asset['id']}" for asset in assets).encode()

    answer = await sent_as_form(api, body, Origin=api.url, Sec_Fetch_Site="same-origin")

    assert answer.headers["Content-Disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        *((b"", "bad-field"), (b"asset_ids=", "unknown-asset"), (b"ids=x", "bad-field")),
        *((b"asset_ids=x&format=zip", "bad-field"), (b"asset_ids=%FF", "malformed-body")),
        (b"asset_ids=" + "\U0001f600".encode() * 8, "unknown-asset"),
        (b"&".join([b"asset_ids=" + b"0" * 32] * 10_001), "malformed-body"),
        (b"a&" * 200_000, "malformed-body"),
        (b"asset_ids=" + b"0" * 600_000, "too-large"),
    ],
)
async def test_a_malformed_form_of_ids_is_refused(api: Api, body: bytes, slug: str) -> None:
    assert (await sent_as_form(api, body)).slug == slug


async def test_a_form_of_another_site_is_refused(api: Api) -> None:
    asset = await api.created(b"x")
    body = f"asset_ids={asset['id']}".encode()

    for headers in ({"Origin": "https://evil.test"}, {"Sec_Fetch_Site": "cross-site"}):
        assert (await sent_as_form(api, body, **headers)).slug == "forbidden"
