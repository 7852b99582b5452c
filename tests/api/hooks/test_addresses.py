"""Events leave only for addresses of the internet, unless a setting allows any."""

import asyncio
import socket
from typing import Any

import aiohttp
import pytest

from asset_ledger.api.hooks.addresses import check_url, is_public
from asset_ledger.api.hooks.sending import Sender
from tests.api.hooks.receiving import receiving

PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("0.0.0.0", "100.64.0.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "192.0.2.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::"),
]


@pytest.mark.parametrize("host", PRIVATE)
def test_address_outside_of_the_internet_is_not_public(host: str) -> None:
    assert not is_public(host)


@pytest.mark.parametrize(
    "host", ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"]
)
def test_address_of_the_internet_is_public(host: str) -> None:
    assert is_public(host)


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "ftp://example.com", "file:///etc/passwd", "https://", "https://:80/"),
        *("https://example.com:0/", "https://example.com:99999/", "https://[::1", "https://a@b/"),
        *("https://a:b@example.com/", "https://example.com/#f", "http://example.com/"),
        *("https://127.0.0.1/", "https://[::1]:7777/", "https://10.0.0.1/x"),
    ],
)
def test_url_that_leads_nowhere_or_inside_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_url(url, private=False)


def test_public_https_address_is_allowed_and_any_with_the_setting() -> None:
    check_url("https://example.com:8443/hook?a=b", private=False)
    check_url("http://127.0.0.1:9000/hook", private=True)


@pytest.mark.parametrize("host", ["localhost", "rebound.example"])
async def test_name_that_resolves_to_this_machine_is_refused_at_the_connection(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        port = int(receiver.url.rpartition(":")[2].partition("/")[0])

        async def resolved(*_: Any, **__: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
        guarded, free = Sender(private=False), Sender(private=True)
        try:
            refused = await guarded.post(f"https://{host}:{port}/hook", b"{}", {})
            arrived = await free.post(f"http://{host}:{port}/hook", b"{}", {})
        finally:
            await guarded.close()
            await free.close()

    assert refused.problem is not None
    assert "hook_addresses" in refused.problem
    assert arrived.problem is None
    assert len(receiver.requests) == 1


async def test_redirect_is_not_followed() -> None:
    def answer(_: int) -> aiohttp.web.Response:
        return aiohttp.web.Response(status=307, headers={"Location": "/elsewhere"})

    async with receiving(answer) as receiver:
        sender = Sender(private=True)
        outcome = await sender.post(receiver.url, b"{}", {})
        await sender.close()

    assert outcome.problem == "the answer is 307, which is not followed"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "017700000001", "127.0.0.1"])
async def test_other_spelling_of_this_machine_is_refused(host: str) -> None:
    async with receiving() as receiver:
        sender = Sender(private=False)
        outcome = await sender.post(receiver.url.replace("127.0.0.1", host), b"{}", {})
        secure = receiver.url.replace("http://127.0.0.1", f"https://{host}")
        over_tls = await sender.post(secure, b"{}", {})
        await sender.close()

    assert outcome.problem is not None
    assert over_tls.problem is not None
    assert receiver.requests == []
