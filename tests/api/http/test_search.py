"""Search and lookup by file name through HTTP, as NodeTool's clients use them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from asset_ledger.api.contract.shapes import FoundPage
from asset_ledger.api.settings import Settings
from asset_ledger.projections import serving as projections
from tests.api.running import Api, serving


async def search(api: Api, query: str, more: str = "") -> Any:
    """Return the answer once it reflects every recorded event."""
    parameters = f"query={quote(query)}&min_position={api.head()}{more}"
    answer = await api.get(f"/api/assets/search?{parameters}")
    assert answer.status == 200, answer.body
    FoundPage.model_validate(answer.json)
    return answer.json


def names(found: Any) -> list[str]:
    return [asset["name"] for asset in found["assets"]]


async def test_assets_are_found_by_name_tag_and_value_with_their_folders(api: Api) -> None:
    folder = await api.created(None, name="Pictures", content_type="folder")
    await api.created(name="cat.png", parent_id=folder["id"], tags=["Pet"], metadata={"by": "Ada"})
    await api.created(name="concat.txt")

    found = await search(api, "CAT")

    assert names(found) == ["concat.txt", "cat.png"]
    assert (found["total_count"], found["next_cursor"], found["is_global_search"]) == (2, "", True)
    assert [asset["folder_path"] for asset in found["assets"]] == ["Home", "Home / Pictures"]
    assert found["assets"][1]["folder_id"] == folder["id"]
    assert names(await search(api, "ada pet")) == ["cat.png"]


@pytest.mark.parametrize("query", ["%", "_", "*", '"', "a OR b", "NOT", "(", "name:cat", "'; --"])
async def test_a_query_has_no_special_characters(api: Api, query: str) -> None:
    await api.created(name="cat.png")
    await api.created(name=f"so {query} it is")

    assert names(await search(api, query)) == [f"so {query} it is"]


async def test_pages_of_a_search_are_linked_by_cursor(api: Api) -> None:
    for number in range(3):
        await api.created(name=f"cat {number}")

    first = await search(api, "cat", "&page_size=2")
    second = await search(api, "cat", f"&page_size=2&cursor={first['next_cursor']}")

    assert names(first) + names(second) == ["cat 2", "cat 1", "cat 0"]
    assert (second["next_cursor"], second["total_count"]) == ("", 3)


@pytest.mark.parametrize("query", ["", "?query=", "?query=%20", "?query=x&sort=name", "?q=x"])
async def test_a_search_without_words_or_with_unknown_parameters_is_refused(
    api: Api, query: str
) -> None:
    assert (await api.get(f"/api/assets/search{query}")).slug == "bad-parameter"


async def test_a_lookup_by_file_name_finds_the_newest_asset(api: Api) -> None:
    await api.created(b"old", name="my cat/50%.png")
    newest = await api.created(b"new", name="my cat/50%.png")
    await api.created(name="my cat/50%.PNG")
    path = "/api/assets/by-filename/my%20cat%2F50%25.png"

    found = await api.get(path)
    assert (found.status, found.json) == (200, newest)
    assert (await api.get(path, If_None_Match=found.headers["ETag"])).status == 304
    await api.call("PUT", f"/api/assets/{newest['id']}", json={"name": "dog.png"})
    assert (await api.get("/api/assets/by-filename/dog.png")).json["id"] == newest["id"]
    assert (await api.get(path)).json["size"] == 3
    await api.call("DELETE", f"/api/assets/{newest['id']}")
    assert (await api.get("/api/assets/by-filename/dog.png")).slug == "unknown-asset"


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("猫と犬.png", "犬"),
        ("東京夜景.png", "夜景"),
        ("한국역사.txt", "역사"),
        ("カタカナ.png", "タカ"),
        ("ภาษาไทย.txt", "ไท"),
        ("𠮷野家.png", "野"),
    ],
)
async def test_short_words_of_scripts_without_spaces_are_found_anywhere(
    api: Api, name: str, query: str
) -> None:
    await api.created(name=name)
    await api.created(name="other.png")

    assert names(await search(api, query)) == [name]


@pytest.mark.parametrize("query", ["og", "t", "ng"])
async def test_short_words_of_other_scripts_are_found_where_a_word_begins(
    api: Api, query: str
) -> None:
    await api.created(name="dog.png")

    assert names(await search(api, query)) == []


@pytest.mark.parametrize("wanted", ["image/png", "IMAGE/", "Image/PNG", "IMAGE"])
async def test_a_search_takes_media_types_in_any_case(api: Api, wanted: str) -> None:
    await api.created(name="cat.png", content_type="IMAGE/Png")
    await api.created(name="cat.txt", content_type="text/plain")

    assert names(await search(api, "cat", f"&content_type={quote(wanted)}")) == ["cat.png"]


@pytest.mark.slow
async def test_a_search_right_after_a_change_finds_it(api: Api) -> None:
    checked = 0
    for number in range(20):
        made = await api.created(name=f"cat {number}")
        first = await api.get(f"/api/assets/search?query={number}")
        await api.call("PUT", f"/api/assets/{made['id']}", json={"name": f"dog {number}"})
        renamed = await api.get("/api/assets/search?query=dog&page_size=1")
        await api.call("DELETE", f"/api/assets/{made['id']}")
        deleted = await api.get("/api/assets/search?query=dog")

        found = [names(answer.json) for answer in (first, renamed, deleted)]
        if not any("Ledger-Projection" in answer.headers for answer in (first, renamed, deleted)):
            assert found == [[made["name"]], [f"dog {number}"], []]
            checked += 1
    assert checked


@pytest.mark.in_a_folder("it locks a file of SQLite")
async def test_a_search_behind_the_log_says_so_and_is_counted(
    api: Api, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "PATIENCE", 0.5)  # the index does not catch up
    await search(api, "cat")
    with closing(sqlite3.connect(data_dir / "projections.g1.search.db")) as db:
        db.execute("BEGIN IMMEDIATE")  # the index cannot be written
        await api.created(name="cat")
        behind = await api.get("/api/assets/search?query=cat")
        refused = await api.get(f"/api/assets/search?query=cat&min_position={api.head()}")
    await api.settled()
    fresh = await search(api, "cat")
    metrics = (await api.get("/metrics")).body.decode()

    assert (names(behind.json), behind.headers["Ledger-Projection"]) == ([], "behind")
    assert int(behind.headers["Ledger-Position"]) < api.head()
    assert refused.slug == "projection-behind"
    assert names(fresh) == ["cat"]
    assert "asset_ledger_searches_behind_total 1.0" in metrics


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("a" * 129, "128 for a word"),
        (" ".join(f"{number}" + "b" * 99 for number in range(6)), "512 in total"),
        (" ".join(map(str, range(100, 133))), "33 words"),
    ],
)
async def test_queries_have_limits_and_say_which(api: Api, query: str, problem: str) -> None:
    answer = await api.get(f"/api/assets/search?query={quote(query)}")

    assert (answer.status, answer.slug) == (400, "bad-parameter")
    assert problem in answer.json["detail"]


async def test_words_up_to_the_limit_are_found(api: Api) -> None:
    await api.created(name="a" * 128)

    assert len(names(await search(api, "a" * 128))) == 1
    assert names(await search(api, "a" * 127 + "b")) == []


@pytest.mark.in_a_folder("PostgreSQL answers this search in time")
async def test_a_search_that_takes_too_long_is_refused_and_others_are_answered(
    data_dir: Path,
) -> None:
    async with serving(Settings(data_dir=data_dir, read_deadline=0.2)) as api:
        for number in range(60):  # a match takes some 15 ms for each of them
            await api.created(name=f"cat {number}", metadata={"a": "a" * 30_000})
        word = "a" * 128

        slow = await api.get(f"/api/assets/search?query={word}&min_position={api.head()}")

        assert (slow.status, slow.slug) == (503, "deadline-exceeded")
        assert names(await search(api, "59")) == ["cat 59"]
