"""Contents through HTTP: whole, in ranges, revalidated, and never run by a browser."""

import base64
import hashlib
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.api.contract.errors import RangeError
from asset_ledger.api.http.content_headers import (
    Span,
    content_disposition,
    requested_range,
    safety_headers,
)
from asset_ledger.api.settings import Settings
from tests.api.running import Api, serving

CONTENT = bytes(range(256)) * 1_000
"""Longer than one read of the server; no two neighbouring bytes are equal."""


async def test_a_content_is_sent_with_its_etag_digest_and_type(api: Api) -> None:
    asset = await api.created(CONTENT, name="a.png", content_type="image/png")

    answer = await api.get(asset["get_url"])

    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["ETag"] == f'"{asset["digest"]}"'
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Ledger-Position"] == str(asset["position"])


@pytest.mark.parametrize("path", ["content", "content/", "download", "download/"])
async def test_a_content_has_two_paths(api: Api, path: str) -> None:
    asset = await api.created(b"x")

    assert (await api.get(f"/api/assets/{asset['id']}/{path}")).body == b"x"


async def test_head_returns_the_headers_of_get(api: Api) -> None:
    asset = await api.created(CONTENT)

    got = await api.get(asset["get_url"])
    headed = await api.call("HEAD", asset["get_url"], headers={"Range": "bytes=0-1"})

    assert (headed.status, headed.body) == (200, b"")
    own = {"Date": "", "X-Request-ID": ""}
    assert {**headed.headers, **own} == {**got.headers, **own}


@pytest.mark.parametrize("size", [0, 1, 10, 65_536, 65_537, len(CONTENT)])
async def test_a_range_returns_a_slice_of_the_content(api: Api, size: int) -> None:
    content = CONTENT[:size]
    path = (await api.created(content))["get_url"]

    for first, last in [(0, 0), (0, 9), (5, 5), (1, 65_535), (65_530, 65_540), (0, 10**9)]:
        answer = await api.get(path, Range=f"bytes={first}-{last}")
        if first < size:
            stop = min(last + 1, size)
            assert (answer.status, answer.body) == (206, content[first:stop])
            assert answer.headers["Content-Range"] == f"bytes {first}-{stop - 1}/{size}"
        else:
            assert (answer.status, answer.slug) == (416, "range")
            assert answer.headers["Content-Range"] == f"bytes */{size}"


@pytest.mark.parametrize(
    ("header", "start"),
    [
        ("bytes=255999-", 255_999),
        ("bytes=-3", 255_997),
        ("bytes=-999999", 0),
        ("bytes=255999-99999999999999999999", 255_999),
        ("bytes=-99999999999999999999", 0),
    ],
)
async def test_an_open_range_runs_to_the_end(api: Api, header: str, start: int) -> None:
    path = (await api.created(CONTENT))["get_url"]

    answer = await api.get(path, Range=header)

    assert (answer.status, answer.body) == (206, CONTENT[start:])


async def test_a_range_beyond_any_file_is_refused(api: Api) -> None:
    path = (await api.created(b"content"))["get_url"]

    answer = await api.get(path, Range="bytes=99999999999999999999-")

    assert (answer.status, answer.slug) == (416, "range")


@pytest.mark.parametrize(
    "header", ["bytes=0-1,3-4", "bytes=2-1", "bytes=x-1", "lines=0-1", "bytes=-", "0-1", "bytes=1"]
)
async def test_an_unsupported_range_is_ignored(api: Api, header: str) -> None:
    path = (await api.created(b"content"))["get_url"]

    answer = await api.get(path, Range=header)

    assert (answer.status, answer.body) == (200, b"content")


@given(
    size=st.integers(0, 50),
    first=st.none() | st.integers(0, 60),
    last=st.none() | st.integers(0, 60),
)
def test_every_parsed_range_agrees_with_slicing(
    size: int, first: int | None, last: int | None
) -> None:
    content = CONTENT[:size]
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    if first is None:
        expected = content[-last:] if last else b""
    else:
        expected = content[first:] if last is None else content[first : last + 1]
    nonsense = (first is None and last is None) or (None not in (first, last) and last < first)  # type: ignore[operator]

    try:
        span = requested_range(header, size)
    except RangeError:
        assert not expected
        assert not nonsense
    else:
        assert content[slice(*(span or Span(0, size)))] == (content if nonsense else expected)
        assert (span is None) == (nonsense or (first is None and not size))


@given(header=st.text(max_size=30))
def test_a_range_header_is_ignored_unless_its_unit_is_bytes(header: str) -> None:
    assert requested_range(header, 10) is None or header.strip().lower().startswith("bytes")


async def test_if_range_applies_the_range_only_when_the_etag_matches(api: Api) -> None:
    asset = await api.created(b"content")
    etag = f'"{asset["digest"]}"'

    async def status(if_range: str) -> int:
        answer = await api.get(asset["get_url"], Range="bytes=0-1", If_Range=if_range)
        return answer.status

    assert await status(etag) == 206
    assert await status(f"W/{etag}") == 200
    assert await status('"other"') == 200
    assert await status("Sun, 06 Nov 1994 08:49:37 GMT") == 200


async def test_if_match_refuses_a_content_with_another_etag(api: Api) -> None:
    asset = await api.created(b"content")
    etag = f'"{asset["digest"]}"'

    async def status(if_match: str) -> int:
        answer = await api.get(asset["get_url"], Range="bytes=0-1", If_Match=if_match)
        assert answer.status == 206 or answer.slug == "precondition-failed"
        return answer.status

    assert [await status(tag) for tag in (etag, "*", f'"other", {etag}')] == [206] * 3
    assert [await status(tag) for tag in ('"other"', f"W/{etag}")] == [412] * 2


async def test_a_content_is_answered_304_when_the_etag_matches(api: Api) -> None:
    asset = await api.created(b"content")

    same = await api.get(asset["get_url"], If_None_Match=f'"{asset["digest"]}"', Range="bytes=0-1")
    wildcard = await api.get(asset["get_url"], If_None_Match="*")

    assert (same.status, same.body) == (304, b"")
    assert wildcard.status == 304


async def test_a_folder_has_no_content(api: Api) -> None:
    folder = await api.created(None, name="f", content_type="folder")

    answer = await api.get(f"/api/assets/{folder['id']}/content")

    assert (answer.status, answer.slug) == (404, "unknown-asset")


async def test_contents_survive_a_restart(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        paths = [(await api.created(CONTENT[:size]))["get_url"] for size in (5, 100_000)]
    async with serving(Settings(data_dir=data_dir)) as api:
        sizes = [len((await api.get(path)).body) for path in paths]

    assert sizes == [5, 100_000]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "TEXT/HTML; charset=utf-8",
        "image/svg+xml",
        "image/SVG+XML",
        "application/xhtml+xml",
        "text/xml",
        "application/pdf",
        "text/javascript",
        "application/octet-stream",
        "x/y",
    ],
)
async def test_active_content_is_sent_as_a_sandboxed_attachment(
    api: Api, content_type: str
) -> None:
    asset = await api.created(b"<script>", content_type=content_type)

    headers = (await api.get(asset["get_url"])).headers

    assert headers["Content-Disposition"].startswith("attachment;")
    assert headers["Content-Security-Policy"] == "sandbox"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("content_type", ["image/png", "video/mp4", "audio/ogg", "text/plain"])
def test_passive_content_is_shown_inline(content_type: str) -> None:
    headers = safety_headers("a", content_type)

    assert headers["Content-Disposition"].startswith("inline;")
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.png", 'attachment; filename="a.png"'),
        ('a"b.png', "attachment; filename=\"a_b.png\"; filename*=UTF-8''a%22b.png"),
        ("../x", "attachment; filename=\".._x\"; filename*=UTF-8''..%2Fx"),
        ("Grüße", "attachment; filename=\"Gr__e\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe"),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
    ],
)
def test_a_file_name_is_sent_in_ascii_and_in_exact_form(name: str, header: str) -> None:
    assert content_disposition("attachment", name) == header


@given(name=st.text(min_size=1))
def test_a_file_name_cannot_break_out_of_its_header(name: str) -> None:
    header = content_disposition("inline", name.encode(errors="replace").decode())

    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


async def test_a_unicode_name_is_sent_back_unchanged(api: Api) -> None:
    asset = await api.created(b"x", name='a/ü"文\\件;x=1.png')

    headers = (await api.get(asset["get_url"])).headers

    assert (
        "filename*=UTF-8''a%2F%C3%BC%22%E6%96%87%5C%E4%BB%B6%3Bx%3D1.png"
        in (headers["Content-Disposition"])
    )


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("あ" * 1_000 + ".png", ".png"),
        ("é" * 4_000, ""),
        ("𝄞" * 900 + ".tar", ".tar"),
        ("a" * 4_096, ""),
    ],
)
async def test_a_long_name_is_cut_in_the_header_of_its_content(
    api: Api, name: str, suffix: str
) -> None:
    asset = await api.created(b"x", name=name)

    answer = await api.get(asset["get_url"])

    disposition = answer.headers["Content-Disposition"]
    shown = unquote(disposition.rpartition("''")[2]) if "''" in disposition else name[:255]
    assert (asset["name"], answer.body) == (name, b"x")
    assert len(disposition) < 1_200
    assert len(shown.encode()) <= 255
    assert shown.endswith(suffix)
    assert name.startswith(shown.removesuffix(suffix))
