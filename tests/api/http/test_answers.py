"""Compression of JSON answers with gzip; contents are sent uncompressed."""

import gzip

import orjson
import pytest

from asset_ledger.api.http.answers import accepts_gzip
from tests.api.running import Api


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("deflate, *;q=0.1", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("gzip;q=0.001", True),
        ("identity", False),
        ("x-gzip2", False),
        ("", False),
    ],
)
def test_gzip_is_accepted_when_its_weight_is_above_zero(header: str, expected: bool) -> None:
    assert accepts_gzip(header) == expected


async def test_a_long_list_is_compressed_when_the_client_accepts_gzip(api: Api) -> None:
    for number in range(5):
        await api.created(name=f"n{number}")

    plain = await api.get("/api/assets")
    packed = await api.get("/api/assets", Accept_Encoding="gzip, br")
    headed = await api.call("HEAD", "/api/assets", headers={"Accept-Encoding": "gzip"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 2
    assert orjson.loads(gzip.decompress(packed.body)) == plain.json
    assert headed.headers["Content-Length"] == packed.headers["Content-Length"]
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept, Accept-Encoding"


async def test_short_answers_and_contents_are_not_compressed(api: Api) -> None:
    asset = await api.created(b"a" * 100_000, content_type="text/plain")

    for path in ("/api/assets?job_id=none", asset["get_url"], "/health"):
        answer = await api.get(path, Accept_Encoding="gzip")
        assert (answer.status, answer.headers.get("Content-Encoding")) == (200, None)


async def test_a_missing_or_deleted_resource_is_answered_with_the_position_that_shows_it(
    api: Api,
) -> None:
    asset = await api.created(b"x", job_id="j")
    created = asset["position"]
    await api.call("DELETE", f"/api/assets/{asset['id']}")
    deleted = api.head()

    for path in ("", "/content", "/thumbnail", "/lineage"):
        gone = await api.get(f"/api/assets/{asset['id']}{path}")
        absent = await api.get(f"/api/assets/{'0' * 32}{path}")
        status = 200 if path == "/lineage" else 410
        assert (gone.status, gone.headers["Ledger-Position"]) == (status, str(deleted))
        assert (absent.status, absent.headers["Ledger-Position"]) == (404, str(deleted))
    for path in ("", "/assets", "/nodes", "/history", "/compare/j", "/timeline"):
        absent = await api.get(f"/api/jobs/none{path}")
        assert (absent.status, absent.headers["Ledger-Position"]) == (404, str(deleted))
    past = await api.get(f"/api/assets/{asset['id']}?as_of={created - 1}")
    assert (past.status, past.headers["Ledger-Position"]) == (404, str(created - 1))
    nowhere = await api.get("/api/nowhere")
    assert (nowhere.status, "Ledger-Position" in nowhere.headers) == (404, False)
