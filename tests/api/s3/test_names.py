import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.api.s3.call import path_of
from asset_ledger.api.s3.errors import S3Error
from asset_ledger.api.s3.names import Key, name_of, parse_key, shown

NAMES = st.text(st.sampled_from("a%25Fü/ "), min_size=1)


@given(NAMES)
def test_a_segment_shows_a_name_without_a_slash_and_can_be_read_back(name: str) -> None:
    assert "/" not in shown(name)
    assert name_of(shown(name)) == name


@pytest.mark.parametrize(
    ("name", "segment"),
    [("a/b", "a%2Fb"), ("a%2Fb", "a%252Fb"), ("100%25", "100%2525"), ("50%", "50%"), ("ü", "ü")],
)
def test_a_slash_in_a_name_is_shown_as_an_escape(name: str, segment: str) -> None:
    assert shown(name) == segment


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("a.txt", Key((), "a.txt")),
        ("a/b/c.txt", Key(("a", "b"), "c.txt")),
        ("a/b%2Fc/", Key(("a", "b/c"), "")),
    ],
)
def test_a_key_is_a_path_of_names(key: str, names: Key) -> None:
    assert parse_key(key) == names


@pytest.mark.parametrize("address", ["/bucket/%ff", "bucket/\udcff", "/\udce4/a?x", "%E4/a"])
def test_an_address_that_is_not_utf8_is_refused(address: str) -> None:
    with pytest.raises(S3Error, match="not UTF-8"):
        path_of(address)


@pytest.mark.parametrize("key", ["/a", "a//b", "//", "ü" * 513])
def test_a_key_that_no_path_can_be_is_refused(key: str) -> None:
    with pytest.raises(S3Error):
        parse_key(key)
