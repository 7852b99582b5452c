"""Links of NodeTool to its contents, `/api/storage/<key>`, lead to the imported assets."""

import io
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from tests.api.calling import caller, serving_with_tokens
from tests.api.running import Api

KEYS = ("{id}.png", "{id}.bin", "{id}", "1/{id}.png", "1/{id}", "{id}.tar.gz", "{dashed}.png")


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_of_nodetool_leads_to_the_content_of_its_asset(api: Api, key: str) -> None:
    asset = await api.created(b"0123456789", content_type="image/png")
    url = f"/api/storage/{key.format(id=asset['id'], dashed=UUID(asset['id']))}"

    whole, head = await api.get(url), await api.call("HEAD", url)
    part = await api.get(url, Range="bytes=-3")
    known = await api.get(url, If_None_Match=whole.headers["ETag"])
    direct = await api.get(asset["get_url"])

    own = {"Date": "", "X-Request-ID": ""}
    assert (whole.status, whole.body) == (200, b"0123456789")
    assert {**whole.headers, **own} == {**direct.headers, **own}
    assert (head.headers["Content-Length"], head.body) == ("10", b"")
    assert (part.status, part.body) == (206, b"789")
    assert known.status == 304


@pytest.mark.parametrize("key", ["{id}_thumb.jpg", "1/{id}_thumb.jpg", "{id}_thumb"])
async def test_a_key_of_a_thumbnail_leads_to_the_thumbnail(api: Api, key: str) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    asset = await api.created(picture.getvalue(), content_type="image/png")

    answer = await api.get(f"/api/storage/{key.format(id=asset['id'])}")

    assert answer.body == (await api.get(asset["thumb_url"])).body
    assert answer.headers["Content-Type"] == "image/webp"


@pytest.mark.parametrize(
    "key",
    [
        "x.png",
        ".png",
        "_thumb.jpg",
        "2/{id}.png",
        "temp/{id}.png",
        "1/1/{id}.png",
        "{id}/.png",
        "../{id}.png",
        "%2e%2e%2f{id}.png",
        "1%2F..%2F{id}.png",
        "{id}_other.png",
        "{id}%00.png",
    ],
)
async def test_a_key_that_names_no_asset_is_refused(api: Api, key: str) -> None:
    asset = await api.created(b"x")

    answer = await api.get(f"/api/storage/{key.format(id=asset['id'])}")

    assert (answer.status, answer.slug) == (404, "unknown-asset")


async def test_a_key_of_a_deleted_asset_is_gone(api: Api) -> None:
    asset = await api.created(b"x")
    await api.call("DELETE", f"/api/assets/{asset['id']}")

    assert (await api.get(f"/api/storage/{asset['id']}.png")).slug == "asset-deleted"


async def test_a_key_of_another_users_asset_is_unknown(data_dir: Path) -> None:
    async with serving_with_tokens(data_dir) as api:
        alice, bob = caller(api, "alice"), caller(api, "bob")
        made = await alice.call("POST", "/api/assets/content?name=a", data=b"of alice")
        for key in (f"{made.json['id']}.png", f"alice/{made.json['id']}.png"):
            assert (await alice.get(f"/api/storage/{key}")).body == b"of alice"
            assert (await bob.get(f"/api/storage/{key}")).slug == "unknown-asset"
            assert (await api.get(f"/api/storage/{key}")).slug == "unauthenticated"
