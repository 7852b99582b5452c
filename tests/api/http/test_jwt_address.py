"""Keys of JWTs that are fetched: from an address, or from an OpenID issuer's configuration."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from asset_ledger.api.http import jwt_address
from asset_ledger.api.settings import Settings
from tests.api.calling import Caller
from tests.api.http.test_connections import get
from tests.api.http.test_jwt import ED25519, RSA, base64url, jwk, signed
from tests.api.running import Api, serving
from tests.journeys.server import Server, run


class Issuer:
    """An issuer of tokens: what it answers can be changed. `asked`: requests for its keys."""

    def __init__(self) -> None:
        self.keys: Any = {"keys": [jwk(RSA, "rsa")]}
        self.status = 200
        self.asked = 0
        self.url = ""
        self.named: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer(self, request: web.Request) -> web.Response:
        if request.path.endswith("/openid-configuration"):
            found = {"issuer": self.named or self.url, "jwks_uri": f"{self.url}/keys"}
            return web.json_response(found)
        self.asked += 1
        await self.gate.wait()
        body = self.keys if isinstance(self.keys, bytes) else json.dumps(self.keys).encode()
        return web.Response(body=body, status=self.status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def issuing(tls: ssl.SSLContext | None = None) -> AsyncIterator[Issuer]:
    issuer, app = Issuer(), web.Application()
    app.router.add_get("/{path:.*}", issuer.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    issuer.url = "{}://127.0.0.1:{}".format("https" if tls else "http", runner.addresses[0][1])
    try:
        yield issuer
    finally:
        issuer.gate.set()
        await runner.cleanup()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as running:
        yield running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_address, "RETRY", 0.0)


@asynccontextmanager
async def trusting(data_dir: Path, **settings: Any) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=data_dir, auth="jwt", **settings)) as api:
        yield api


def by_address(issuer: Issuer) -> dict[str, Any]:
    return {"jwt_jwks": f"{issuer.url}/keys"}


def by_issuer(issuer: Issuer) -> dict[str, Any]:
    return {"jwt_issuer": issuer.url}


async def status(api: Api, token: str) -> int:
    return (await Caller(api, token).get("/api/assets")).status


async def keys_part(api: Api) -> tuple[int, Any]:
    answer = await api.get("/readyz")
    return answer.status, next(each for each in answer.json["parts"] if each["name"] == "keys")


@pytest.mark.parametrize("named", [by_address, by_issuer])
async def test_a_token_is_verified_with_fetched_keys(
    data_dir: Path, issuer: Issuer, named: Callable[[Issuer], dict[str, Any]]
) -> None:
    async with trusting(data_dir, **named(issuer)) as api:
        token = signed("RS256", {"kid": "rsa"}, iss=issuer.url)

        assert await status(api, token) == 200
        assert await status(api, token[:-4] + "AAAA") == 401
        assert await keys_part(api) == (
            200,
            {"name": "keys", "ok": True, "reason": None, "optional": True},
        )
        assert issuer.asked == 1


async def test_only_tokens_of_the_issuer_are_accepted(data_dir: Path, issuer: Issuer) -> None:
    async with trusting(data_dir, **by_issuer(issuer)) as api:
        for wrong in ("https://elsewhere.example", None):
            answer = await Caller(api, signed("RS256", {"kid": "rsa"}, iss=wrong)).get("/api/jobs")
            assert answer.slug == "unauthenticated"
            assert "iss" in answer.json["detail"]


async def test_new_keys_are_fetched_for_the_first_token_that_needs_them(
    data_dir: Path, issuer: Issuer
) -> None:
    async with trusting(data_dir, **by_address(issuer)) as api:
        old, new = signed("RS256", {"kid": "rsa"}), signed("EdDSA", {"kid": "new"})
        assert await status(api, old) == 200
        issuer.keys = {"keys": [jwk(ED25519, "new")]}

        assert await status(api, new) == 200
        assert await status(api, old) == 401  # the old key was dropped
        session = await api.call("POST", "/api/session", json={"token": new})
        assert session.status == 204


async def test_a_session_is_started_with_a_key_that_is_new(data_dir: Path, issuer: Issuer) -> None:
    async with trusting(data_dir, **by_address(issuer)) as api:
        assert await status(api, signed("RS256", {"kid": "rsa"})) == 200
        issuer.keys = {"keys": [jwk(ED25519, "new")]}

        token = {"token": signed("EdDSA", {"kid": "new"})}
        assert (await api.call("POST", "/api/session", json=token)).status == 204


async def test_unknown_keys_do_not_make_the_server_ask_again_and_again(
    data_dir: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trusting(data_dir, **by_address(issuer)) as api:
        assert await status(api, signed("RS256", {"kid": "rsa"})) == 200
        monkeypatch.setattr(jwt_address, "RETRY", 3_600.0)
        for number in range(20):
            assert await status(api, signed("RS256", {"kid": f"forged {number}"})) == 401

        assert issuer.asked == 1


async def test_requests_with_known_keys_do_not_wait_for_a_fetch(
    data_dir: Path, issuer: Issuer
) -> None:
    async with trusting(data_dir, **by_address(issuer)) as api:
        known = signed("RS256", {"kid": "rsa"})
        assert await status(api, known) == 200
        issuer.gate.clear()
        waiting = [
            asyncio.create_task(status(api, signed("EdDSA", {"kid": "new"}))) for _ in range(5)
        ]
        async with asyncio.timeout(30):
            while issuer.asked < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        assert await status(api, known) == 200
        assert (await api.get("/livez")).status == 200
        assert issuer.asked == 2, "the callers share one fetch"
        issuer.keys = {"keys": [jwk(RSA, "rsa"), jwk(ED25519, "new")]}
        issuer.gate.set()
        assert await asyncio.gather(*waiting) == [200] * 5


async def test_a_client_that_leaves_before_its_keys_are_fetched_takes_no_share_of_its_user(
    data_dir: Path, issuer: Issuer
) -> None:
    async with trusting(data_dir, **by_address(issuer), max_connections=2) as api:
        token = signed("EdDSA", {"kid": "new"})
        assert await status(api, signed("RS256", {"kid": "rsa"})) == 200
        issuer.gate.clear()
        others = {*api.server.clients.all}
        parts = urlsplit(api.url)
        with socket.create_connection((parts.hostname, parts.port)) as leaving:
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            leaving.sendall(get(f"/api/assets/{'0' * 32}", token).replace(b"GET", b"DELETE"))
            async with asyncio.timeout(30):
                while issuer.asked < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            while {*api.server.clients.all} - others:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        issuer.keys = {"keys": [jwk(RSA, "rsa"), jwk(ED25519, "new")]}
        later = asyncio.create_task(status(api, token))
        issuer.gate.set()

        assert await later == 200


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"status": 500}, "the answer is 500"),
        ({"status": 302}, "the answer is 302"),
        ({"keys": b"{"}, "is not a JWK set"),
        ({"keys": {"keys": []}}, "has no signature key of kind RSA or Ed25519"),
        (
            {"keys": {"keys": [{"kty": "oct", "k": base64url(b"s" * 40), "kid": "rsa"}]}},
            "has no signature key of kind RSA or Ed25519",
        ),
        ({"keys": b"[" * 2_000_000}, "larger than 1 MiB"),
        ({"named": "https://other.example"}, "names another issuer"),
    ],
)
async def test_a_server_without_keys_answers_503_and_is_not_ready_until_it_has_some(
    data_dir: Path, issuer: Issuer, changed: dict[str, Any], reason: str
) -> None:
    before = {name: getattr(issuer, name) for name in changed}
    for name, value in changed.items():
        setattr(issuer, name, value)
    async with trusting(data_dir, **by_issuer(issuer)) as api:
        token = signed("RS256", {"kid": "rsa"}, iss=issuer.url)
        answer = await Caller(api, token).get("/api/assets")

        assert (answer.status, answer.slug) == (503, "keys-unavailable")
        assert answer.headers["Retry-After"] == "15"
        code, part = await keys_part(api)
        assert (code, part["ok"]) == (503, False)
        assert reason in part["reason"]
        for name, value in before.items():
            setattr(issuer, name, value)
        async with asyncio.timeout(30):
            while await status(api, token) != 200:  # the fetch under way has the old answer
                pass
        assert (await keys_part(api))[0] == 200


async def test_an_issuer_that_is_gone_leaves_the_keys_in_force_for_a_day(
    data_dir: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trusting(data_dir, **by_address(issuer)) as api:
        known = signed("RS256", {"kid": "rsa"})
        assert await status(api, known) == 200
        issuer.status = 500
        assert await status(api, signed("RS256", {"kid": "new"})) == 401
        code, part = await keys_part(api)

        assert (code, part["ok"], part["optional"]) == (200, False, True)
        assert await status(api, known) == 200
        monkeypatch.setattr(jwt_address, "LONGEST", 0.0)
        assert await status(api, known) == 503
        assert (await keys_part(api))[0] == 503


async def test_keys_are_fetched_again_without_a_request(
    data_dir: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwt_address, "REFRESH", 0.01)
    async with trusting(data_dir, **by_address(issuer)):
        async with asyncio.timeout(30):
            while issuer.asked < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "settings",
    [
        {"jwt_jwks": "http://issuer.example/keys"},
        {"jwt_jwks": "ftp://127.0.0.1/keys"},
        {"jwt_issuer": "http://issuer.example"},
        {"jwt_issuer": "issuer"},
        {},
    ],
)
def test_keys_are_fetched_over_https_only(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"https://|needs --jwt-key"):
        Settings(auth="jwt", **settings)


def certificate(folder: Path) -> Path:
    """Write a certificate of 127.0.0.1 that signs itself, and its key, to one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "issuer.crt"
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.slow
async def test_the_certificate_of_an_https_address_is_checked(
    tmp_path: Path, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    async with issuing(tls) as issuer:
        server = Server(tmp_path / "data", "--auth", "jwt", "--jwt-issuer", issuer.url)
        try:
            await asyncio.to_thread(server.start)
            token = signed("RS256", {"kid": "rsa"}, iss=issuer.url)
            done = await asyncio.to_thread(run, "ls", "--url", server.url, "--token", token)

            assert (done.returncode == 0) == trusted, done.stderr
            assert trusted or "CERTIFICATE_VERIFY_FAILED" in server.errors
        finally:
            await asyncio.to_thread(server.close)


@pytest.mark.parametrize("kid", [[], {}, 7, True])
async def test_a_key_whose_id_is_no_text_is_no_defect(
    data_dir: Path, issuer: Issuer, kid: object
) -> None:
    odd = {**jwk(ED25519, "odd"), "kid": kid}
    issuer.keys = {"keys": [odd, jwk(RSA, "rsa")]}
    async with trusting(data_dir, **by_address(issuer)) as api:
        assert await status(api, signed("RS256", {"kid": "rsa"})) == 200
        assert await status(api, signed("EdDSA", {"kid": "odd"})) == 401
        assert await status(api, signed("RS256")) == 200
