"""Lists with words and filters together: complete in every sort, whichever side is the shorter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from asset_ledger.projections.queries import asset_statements, catalog, worded
from tests.api.calling import caller, serving_with_tokens
from tests.api.http.test_operations import shaped
from tests.api.running import Api

ASSETS: Any = [
    {"name": "red cat.png", "node_id": "draw", "job_id": "j1", "tags": ["pet"]},
    {"name": "blue cat.png", "node_id": "draw", "job_id": "j1"},
    {"name": "cat.txt", "node_id": "write", "job_id": "j2", "metadata": {"by": "Ada"}},
    {"name": "dog.png", "node_id": "draw", "job_id": "j2", "tags": ["pet", "cat friend"]},
    {"name": "abacus.png", "node_id": "draw", "job_id": "j3"},
    {"name": "a cat", "node_id": "write", "job_id": "j3", "metadata": {"n": ["x", {"y": "red"}]}},
]
QUERIES: dict[str, Callable[[str], bool]] = {
    "cat": lambda text: "cat" in text,
    "CAT red": lambda text: "cat" in text and "red" in text,
    "ca": lambda text: "cat" in text,  # a short word begins a word: not in abacus
    "cat a": lambda text: "cat" in text and any(part.startswith("a") for part in text.split()),
    "pet": lambda text: "pet" in text,
    "unicorn": lambda text: False,
}
FILTERS: dict[str, Callable[[Any], bool]] = {
    "": lambda asset: True,
    "node_id=draw": lambda asset: asset["node_id"] == "draw",
    "job_id=j2&tag=pet": lambda asset: asset["job_id"] == "j2" and "pet" in asset["tags"],
    "node_id=draw&node_id=write&job_id=j1": lambda asset: asset["job_id"] == "j1",
    "size_min=12": lambda asset: asset["size"] >= 12,
    "content_type=image/": lambda asset: True,
}
SORTS: dict[str, Callable[[Any], Any]] = {
    "created_at": lambda asset: asset["position"],
    "name": lambda asset: (asset["name"], asset["position"]),
    "size": lambda asset: (asset["size"], asset["position"]),
}


@pytest.fixture(params=[(20_000, 1_000), (2, 1)], ids=["short lists", "long lists"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the limits of one request; with the small ones every list is too long to sort."""
    walk, chunk = request.param
    for module in (asset_statements, catalog, worded):
        monkeypatch.setattr(module, "WALK", walk)
    for module in (catalog, worded):
        monkeypatch.setattr(module, "CHUNK", chunk)


@pytest.fixture
async def made(api: Api, limits: None) -> list[Any]:
    return [await api.created(b"x" * len(fields["name"]), **fields) for fields in ASSETS]


def text_of(asset: Any) -> str:
    values = str(asset["metadata"] or "").replace("'", " ")
    return " ".join([asset["name"], *asset["tags"], values]).casefold()


async def everything(api: Api, parameters: str) -> list[Any]:
    """Return the assets of all pages."""
    found, cursor = [], ""
    for _ in range(50):
        answer = await api.get(f"/api/assets?{parameters}&page_size=2&cursor={cursor}")
        assert answer.status == 200, answer.body
        found += shaped("list_assets", answer)["assets"]
        cursor = answer.json["next"]
        if not cursor:
            return found
    raise AssertionError("the list does not end")


@pytest.mark.parametrize("sort", [*SORTS, *(f"-{name}" for name in SORTS)])
async def test_list_has_every_asset_with_the_words_that_matches_the_filters(
    api: Api, made: list[Any], sort: str
) -> None:
    for query, has_words in QUERIES.items():
        for filters, matches in FILTERS.items():
            parameters = f"query={quote(query)}&{filters}&sort={sort}&min_position={api.head()}"
            expected = [a["id"] for a in made if has_words(text_of(a)) and matches(a)]
            ordered = sorted(
                (asset for asset in made if asset["id"] in expected),
                key=SORTS[sort.removeprefix("-")],
                reverse=sort.startswith("-"),
            )

            found = await everything(api, parameters.replace("&&", "&"))
            counted = await api.get(
                f"/api/assets?query={quote(query)}&{filters}&count=exact".rstrip("&")
            )

            assert [a["id"] for a in found] == [a["id"] for a in ordered], (query, filters)
            assert counted.json["count"] == len(expected), (query, filters)


async def test_words_find_the_last_upload_and_not_a_deleted_asset(
    api: Api, made: list[Any]
) -> None:
    new = await api.created(b"x", name="new cat")
    await api.call("DELETE", f"/api/assets/{made[0]['id']}")

    listed = await api.get("/api/assets?query=cat&sort=-created_at")

    ids = [asset["id"] for asset in listed.json["assets"]]
    assert "Ledger-Projection" in listed.headers or (ids[0] == new["id"])
    settled = await everything(api, f"query=cat&min_position={api.head()}")
    assert made[0]["id"] not in [asset["id"] for asset in settled]
    assert settled[-1]["id"] == new["id"]


async def test_words_narrow_the_list_of_a_job(api: Api, made: list[Any]) -> None:
    listed = await api.get(f"/api/jobs/j2/assets?query=dog&min_position={api.head()}")

    assert [asset["name"] for asset in listed.json["assets"]] == ["dog.png"]


@pytest.mark.parametrize(
    "parameters",
    [
        "query=",
        "query=%20",
        "query=cat&deleted=any",
        "query=cat&deleted=true",
        "query=cat&as_of=1&job_id=j1",
        "query=" + "+".join(f"w{n}" for n in range(33)),
    ],
)
async def test_words_that_a_list_cannot_look_for_are_refused(api: Api, parameters: str) -> None:
    assert (await api.get(f"/api/assets?{parameters}")).slug == "bad-parameter"


async def test_cursor_belongs_to_the_words_of_its_list(api: Api, made: list[Any]) -> None:
    first = await api.get(f"/api/assets?query=cat&page_size=1&min_position={api.head()}")

    other = await api.get(f"/api/assets?query=dog&cursor={first.json['next']}")
    without = await api.get(f"/api/assets?cursor={first.json['next']}")

    assert [answer.slug for answer in (other, without)] == ["bad-cursor", "bad-cursor"]


@pytest.mark.usefixtures("limits")
async def test_words_find_no_asset_of_another_user(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        alice, bob = caller(api, "alice"), caller(api, "bob")
        for number in range(4):
            await alice.created(b"a", name=f"cat {number}")
        own = await bob.created(b"b", name="cat of bob")

        found: list[Any] = []
        cursor = ""
        for _ in range(10):
            path = f"/api/assets?query=cat&min_position={api.head()}&cursor={cursor}"
            page = (await bob.get(path)).json
            found, cursor = found + page["assets"], page["next"]
            if not cursor:
                break

        assert [asset["id"] for asset in found] == [own["id"]]
