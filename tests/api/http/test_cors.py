"""Pages of other origins: no CORS headers, unless the setting names the origin."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from asset_ledger.api.settings import Settings
from tests.api.running import FORM, Answer, Api, form, serving

PAGE = "https://app.example.org"
PREFLIGHT = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "if-match"}


@pytest.fixture
async def open_api(data_dir: Path) -> AsyncIterator[Api]:
    """A local server that allows two origins."""
    settings = Settings(data_dir=data_dir, cors_origins=f"http://localhost:3000, {PAGE}")
    async with serving(settings) as api:
        yield api


async def preflight(api: Api, origin: str) -> Answer:
    return await api.call("OPTIONS", "/api/assets/x", headers={"Origin": origin, **PREFLIGHT})


async def write(api: Api, origin: str) -> Answer:
    headers = {**FORM, "Origin": origin, "Sec-Fetch-Site": "cross-site"}
    return await api.call("POST", "/api/assets", data=form(b"x", {}), headers=headers)


async def test_a_page_of_an_allowed_origin_can_read_and_write(open_api: Api) -> None:
    preflighted = await preflight(open_api, PAGE)
    written = await write(open_api, PAGE)
    read = await open_api.get("/api/assets", Origin=PAGE)
    content = await open_api.get(written.json["get_url"], Origin=PAGE)
    refused = await open_api.get("/api/assets?x=1", Origin=PAGE)

    assert (preflighted.status, preflighted.body) == (204, b"")
    assert "PUT" in preflighted.headers["Access-Control-Allow-Methods"]
    assert "If-Match" in preflighted.headers["Access-Control-Allow-Headers"]
    assert (written.status, read.status, content.status, refused.status) == (201, 200, 200, 400)
    for answer in (preflighted, written, read, content, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Origin" in answer.headers["Vary"]
        assert "Ledger-Position" in answer.headers["Access-Control-Expose-Headers"]


async def test_all_vary_values_are_sent_in_one_header_line(open_api: Api) -> None:
    for number in range(5):
        await open_api.created(name=f"n{number}", job_id="j")

    answer = await open_api.get("/api/jobs/j/history", Origin=PAGE, Accept_Encoding="gzip")

    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers.getall("Vary") == ["Accept, Accept-Encoding, Origin"]


async def test_a_page_of_another_origin_gets_no_cors_headers(open_api: Api) -> None:
    for answer in (
        await preflight(open_api, "https://evil.example"),
        await write(open_api, "https://evil.example"),
        await open_api.get("/api/assets", Origin="https://evil.example"),
    ):
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.status in (200, 403, 405)
    assert (await write(open_api, "null")).status == 403
    assert (await write(open_api, "https://app.example.org.evil.example")).status == 403


async def test_no_page_gets_cors_headers_without_the_setting(api: Api) -> None:
    preflighted, read = await preflight(api, PAGE), await api.get("/api/assets", Origin=PAGE)

    assert (preflighted.status, preflighted.slug) == (405, "method-not-allowed")
    assert "Access-Control-Allow-Origin" not in read.headers
    assert (await write(api, PAGE)).status == 403


async def test_a_wildcard_allows_every_origin_when_tokens_are_required(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir, auth="tokens", cors_origins="*")) as api:
        preflighted = await preflight(api, PAGE)
        read = await api.get("/api/assets", Origin=PAGE)

        assert preflighted.status == 204
        assert read.status == 401
        for answer in (preflighted, read):
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origins", ["*", "app.example.org", "https://a.example/path", "https://"])
def test_invalid_origins_are_refused(origins: str) -> None:
    with pytest.raises(ValidationError):
        Settings(cors_origins=origins)
