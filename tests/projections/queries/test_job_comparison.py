"""How the assets of two jobs are paired. Assets are written `node/name=digest`."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.ids import Digest
from asset_ledger.projections.queries.job_comparison import (
    ComparedPair,
    MadeAsset,
    align,
)


def made(*texts: str) -> list[MadeAsset]:
    return [_made(text) for text in texts]


def _made(text: str) -> MadeAsset:
    node, _, rest = text.partition("/")
    name, _, digest = rest.partition("=")
    return MadeAsset(node or None, name, Digest(digest) if digest else None, text.encode())


def described(rows: list[ComparedPair]) -> list[str]:
    return [f"{row.status} {row.key.node_id or ''}/{row.key.name} {row.key.nth}" for row in rows]


def test_assets_with_equal_names_and_content_are_the_same() -> None:
    rows = align(made("n/a=1", "n/b=2", "m/a=3"), made("n/a=1", "n/b=9", "m/a=3"))

    assert described(rows) == ["same n/a 1", "different n/b 1", "same m/a 1"]


def test_repeated_names_are_paired_by_occurrence() -> None:
    rows = align(made("n/a=1", "n/a=2", "n/a=3"), made("n/a=1", "n/a=3"))

    assert described(rows) == ["same n/a 1", "different n/a 2", "only_a n/a 3"]


def test_assets_without_content_are_the_same() -> None:
    rows = align(made("/folder", "/note"), made("/folder", "/note=1"))

    assert described(rows) == ["same /folder 1", "different /note 1"]


def test_assets_of_the_second_job_alone_keep_their_place() -> None:
    rows = align(made("n/a", "n/b", "n/c"), made("n/x", "n/a", "n/c", "n/y", "n/b", "n/z"))

    assert described(rows) == [
        "only_b n/x 1",
        "same n/a 1",
        "only_b n/y 1",
        "same n/b 1",
        "same n/c 1",
        "only_b n/z 1",
    ]


ASSETS = st.lists(
    st.builds(
        "{}/{}={}".format,
        st.sampled_from(["", "n", "m"]),
        st.sampled_from("ab"),
        st.sampled_from("12"),
    ),
    max_size=8,
)


@given(a=ASSETS, b=ASSETS)
def test_every_asset_is_in_one_row_and_the_first_job_keeps_its_order(
    a: list[str], b: list[str]
) -> None:
    rows = align(made(*a), made(*b))

    assert [row.a.decode() for row in rows if row.a] == a
    assert sorted(row.b.decode() for row in rows if row.b) == sorted(b)
    assert all(row.a or row.b for row in rows)
    assert max(Counter(row.key for row in rows).values(), default=1) == 1


@given(a=ASSETS, b=ASSETS)
def test_swapping_the_jobs_swaps_the_statuses(a: list[str], b: list[str]) -> None:
    forward = {row.key: row.status for row in align(made(*a), made(*b))}
    backward = {row.key: row.status for row in align(made(*b), made(*a))}

    opposite = {"only_a": "only_b", "only_b": "only_a"}
    assert forward == {key: opposite.get(status, status) for key, status in backward.items()}


@given(a=ASSETS)
def test_job_compared_with_itself_has_only_same_rows(a: list[str]) -> None:
    assert {row.status for row in align(made(*a), made(*a))} <= {"same"}
