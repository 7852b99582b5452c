"""How the assets of two jobs are aligned. Assets are written `node/name=digest`."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.ids import Digest
from asset_ledger.projections.queries.job_comparison import (
    ComparedPair,
    JobComparison,
    MadeAsset,
    align,
)


def made(*texts: str) -> list[MadeAsset]:
    return [_made(text) for text in texts]


def _made(text: str) -> MadeAsset:
    node, _, rest = text.partition("/")
    name, _, digest = rest.partition("=")
    return MadeAsset(node or None, name, Digest(digest) if digest else None, text.encode())


def told(rows: list[ComparedPair]) -> list[str]:
    return [f"{row.status} {row.key.node_id or ''}/{row.key.name} {row.key.nth}" for row in rows]


def test_equal_bytes_under_equal_names_are_the_same() -> None:
    rows = align(made("n/a=1", "n/b=2", "m/a=3"), made("n/a=1", "n/b=9", "m/a=3"))

    assert told(rows) == ["same n/a 1", "different n/b 1", "same m/a 1"]


def test_the_second_of_a_name_is_compared_with_the_second() -> None:
    rows = align(made("n/a=1", "n/a=2", "n/a=3"), made("n/a=1", "n/a=3"))

    assert told(rows) == ["same n/a 1", "different n/a 2", "only_a n/a 3"]


def test_what_has_no_bytes_is_the_same_as_what_has_none() -> None:
    rows = align(made("/folder", "/note"), made("/folder", "/note=1"))

    assert told(rows) == ["same /folder 1", "different /note 1"]


def test_what_only_the_second_made_stands_where_it_made_it() -> None:
    rows = align(made("n/a", "n/b", "n/c"), made("n/x", "n/a", "n/c", "n/y", "n/b", "n/z"))

    assert told(rows) == [
        "only_b n/x 1",
        "same n/a 1",
        "only_b n/y 1",
        "same n/b 1",
        "same n/c 1",
        "only_b n/z 1",
    ]


def test_the_first_row_that_is_not_the_same_is_where_they_parted() -> None:
    parted = JobComparison("a", "b", align(made("n/a", "n/b=1"), made("n/a", "m/c", "n/b=2")), 9)
    alike = JobComparison("a", "b", align(made("n/a"), made("n/a")), 9)

    assert parted.first_divergence is not None
    assert parted.first_divergence.key == ("m", "c", 1)
    assert parted.counts == {"same": 1, "different": 1, "only_a": 0, "only_b": 1}
    assert alike.first_divergence is None


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
def test_every_asset_is_in_exactly_one_row_and_each_job_keeps_its_order(
    a: list[str], b: list[str]
) -> None:
    rows = align(made(*a), made(*b))

    assert [row.a.json.decode() for row in rows if row.a] == a
    assert sorted(row.b.json.decode() for row in rows if row.b) == sorted(b)
    assert all(row.a or row.b for row in rows)
    assert max(Counter(row.key for row in rows).values(), default=1) == 1


@given(a=ASSETS, b=ASSETS)
def test_turned_round_a_comparison_says_the_opposite(a: list[str], b: list[str]) -> None:
    there = {row.key: row.status for row in align(made(*a), made(*b))}
    back = {row.key: row.status for row in align(made(*b), made(*a))}

    opposite = {"only_a": "only_b", "only_b": "only_a"}
    assert there == {key: opposite.get(status, status) for key, status in back.items()}


@given(a=ASSETS)
def test_a_job_is_the_same_as_itself(a: list[str]) -> None:
    assert {row.status for row in align(made(*a), made(*a))} <= {"same"}
