"""Lineage through HTTP: ancestors and descendants of an asset, or of bytes."""

from typing import Any

import pytest

from asset_ledger.ledger.ids import digest_of
from tests.api.running import Api


async def family(api: Api) -> list[Any]:
    """A photo, its mask, and a picture made from both; then a print of the picture."""
    photo = await api.created(b"photo", name="photo")
    mask = await api.created(b"mask", name="mask", derived_from=[photo["id"]])
    picture = await api.created(b"picture", derived_from=[photo["id"], mask["id"]])
    return [photo, mask, picture, await api.created(b"print", derived_from=[picture["id"]])]


async def lineage(api: Api, path: str) -> Any:
    answer = await api.get(path)
    assert answer.status == 200, answer.body
    return answer.json


def edges(assets: list[Any], *pairs: tuple[int, int]) -> list[dict[str, str]]:
    edges = [(assets[source]["id"], assets[derived]["id"]) for source, derived in pairs]
    return [{"from": source, "to": derived} for source, derived in sorted(edges)]


async def test_a_lineage_lists_ancestors_and_descendants_of_an_asset(api: Api) -> None:
    assets = await family(api)
    path = f"/api/assets/{assets[1]['id']}/lineage"

    both, up, near = [
        await lineage(api, path + query) for query in ("", "?direction=up", "?depth=1")
    ]

    assert both == {
        "root": assets[1]["id"],
        "nodes": assets,
        "edges": edges(assets, (0, 1), (1, 2), (2, 3)),
        "truncated": False,
    }
    assert (up["nodes"], up["edges"]) == (assets[:2], edges(assets, (0, 1)))
    assert (near["nodes"], near["truncated"]) == (assets[:3], True)


async def test_a_lineage_by_digest_lists_the_assets_derived_from_the_bytes(api: Api) -> None:
    assets = await family(api)

    found = await lineage(api, f"/api/lineage?digest={digest_of(b'mask')}")

    assert found["root"] == digest_of(b"mask")
    assert found["nodes"] == assets[1:]
    assert found["edges"] == edges(assets, (1, 2), (2, 3))


async def test_a_lineage_by_an_unknown_digest_is_empty(api: Api) -> None:
    nothing = {"root": digest_of(b"x"), "nodes": [], "edges": [], "truncated": False}

    assert await lineage(api, f"/api/lineage?digest={digest_of(b'x')}") == nothing


async def test_a_deleted_asset_has_a_lineage(api: Api) -> None:
    assets = await family(api)
    await api.call("DELETE", f"/api/assets/{assets[1]['id']}")

    found = await lineage(api, f"/api/assets/{assets[1]['id']}/lineage?direction=up")

    assert [node["id"] for node in found["nodes"]] == [asset["id"] for asset in assets[:2]]


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/api/assets/" + "0" * 32 + "/lineage", 404, "unknown-asset"),
        ("/api/assets/x/lineage", 404, "unknown-asset"),
        ("/api/assets/" + "0" * 32 + "/lineage?depth=0", 400, "bad-parameter"),
        ("/api/assets/" + "0" * 32 + "/lineage?direction=left", 400, "bad-parameter"),
        ("/api/lineage", 400, "bad-parameter"),
        ("/api/lineage?digest=x", 400, "bad-parameter"),
    ],
)
async def test_an_invalid_lineage_request_is_refused(
    api: Api, path: str, status: int, slug: str
) -> None:
    answer = await api.get(path)

    assert (answer.status, answer.slug) == (status, slug)
