"""AUTH=local: every caller is user 1, and pages of other origins cannot reach the ledger."""

import pytest

from tests.api.running import FORM, Api, form


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:7777",
        "127.0.0.1",
        "127.8.8.8:1",
        "[::1]:7777",
        "LOCALHOST",
        "a.localhost",
    ],
)
async def test_a_local_ledger_answers_loopback_host_names(api: Api, host: str) -> None:
    assert (await api.get("/api/assets", Host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7777",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.0.7",
        "[fe80::1]",
        "0.0.0.0",
        "evil@localhost",
        "localhost/evil",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/api/assets", "/health", "/nowhere"])
async def test_a_local_ledger_refuses_other_host_names(api: Api, host: str, path: str) -> None:
    answer = await api.get(path, Host=host)

    assert (answer.status, answer.slug) == (403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_origin_cannot_write(api: Api, headers: dict[str, str]) -> None:
    asset = await api.created()
    before = api.head()

    created = await api.upload(headers=headers)
    deleted = await api.call("DELETE", f"/api/assets/{asset['id']}", headers=headers)

    assert (created.status, created.slug) == (403, "forbidden")
    assert (deleted.status, deleted.slug) == (403, "forbidden")
    assert api.head() == before


async def test_a_page_of_the_ledger_itself_can_write(api: Api) -> None:
    headers = {"Origin": api.url, "Sec-Fetch-Site": "same-origin"}

    assert (await api.upload(headers=headers)).status == 201


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/api/assets", "/api/events", "/api/log/key"])
async def test_a_page_of_another_site_cannot_read(api: Api, path: str, site: str) -> None:
    answer = await api.get(path, Sec_Fetch_Site=site)

    assert (answer.status, answer.slug) == (403, "forbidden")


@pytest.mark.parametrize("path", ["/", "/jobs/j", "/health"])
async def test_a_page_of_another_site_can_lead_to_the_console(api: Api, path: str) -> None:
    assert (await api.get(path, Sec_Fetch_Site="cross-site")).status == 200


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"]
)
async def test_a_local_ledger_refuses_what_a_proxy_forwards(api: Api, header: str) -> None:
    headers = {header: "for=192.0.2.7"}

    for path in ("/api/assets", "/", "/readyz"):
        answer = await api.call("GET", path, headers=headers)
        assert (answer.status, answer.slug) == (403, "forbidden")
        assert "set auth to tokens or jwt" in answer.json["detail"]


async def test_a_local_ledger_ignores_tokens(api: Api) -> None:
    body = form(b"x", {"name": "n"})
    headers = {**FORM, "Authorization": "Bearer whatever"}

    created = await api.call("POST", "/api/assets", data=body, headers=headers)

    assert created.json["user_id"] == "1"
