"""AUTH=jwt: signed tokens, their claims, algorithms and keys."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr, ValidationError

from asset_ledger.api.contract.errors import TokenKeyError
from asset_ledger.api.http.jwt import verifier
from asset_ledger.api.settings import Settings
from tests.api.calling import Caller
from tests.api.running import serving

SECRET = "a secret that is shared, of more than 32 bytes"
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
KEYS: Mapping[str, tuple[str, Any, str]] = {
    "HS256": (SECRET, SECRET, "HS256"),
    "RS256": ("rsa", RSA, "RS256"),
    "EdDSA": ("ed25519", ED25519, "EdDSA"),
}

every_algorithm = pytest.mark.parametrize("algorithm", KEYS)


def pem(private: Any) -> str:
    public = private.public_key()
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def shared(algorithm: str) -> SecretStr:
    """Return the key as the server gets it: the secret, or the public half."""
    return SecretStr({"HS256": SECRET, "RS256": pem(RSA), "EdDSA": pem(ED25519)}[algorithm])


def claims(**changed: Any) -> dict[str, Any]:
    hour = datetime.now(UTC) + timedelta(hours=1)
    given = {"sub": "alice", "exp": hour, "scope": "read write", **changed}
    return {name: value for name, value in given.items() if value is not None}


def signed(algorithm: str, headers: dict[str, Any] | None = None, **changed: Any) -> str:
    _, key, name = KEYS[algorithm]
    return jwt.encode(claims(**changed), key, name, headers=headers)


def verified(token: str, settings: Settings) -> tuple[str, set[str]] | None:
    credential = verifier(settings).credential(token)
    return (credential.principal.user_id, {*credential.principal.scopes}) if credential else None


def keyed(algorithm: str, **settings: Any) -> Settings:
    return Settings(auth="jwt", jwt_key=shared(algorithm), **settings)


@asynccontextmanager
async def calling(settings: Settings, token: str) -> AsyncIterator[Caller]:
    async with serving(settings) as api:
        yield Caller(api, token)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": datetime(2020, 1, 1, tzinfo=UTC)}, "the token has expired: get a new one"),
        ({"exp": None}, "the token has no exp"),
        ({"nbf": datetime(2100, 1, 1, tzinfo=UTC)}, "the token is not valid yet"),
        ({"aud": "another service"}, "the token is for another audience"),
        ({"sub": ""}, "malformed, signed with an unknown key, or has an invalid claim"),
    ],
    ids=["expired", "without exp", "early", "audience", "subject"],
)
async def test_refused_token_is_answered_with_the_reason(
    data_dir: Path, changed: dict[str, Any], reason: str
) -> None:
    settings = keyed("HS256", data_dir=data_dir)
    async with calling(settings, signed("HS256", **changed)) as alice:
        answer = await alice.get("/api/assets")

    assert answer.slug == "unauthenticated"
    assert reason in answer.json["detail"]


@every_algorithm
async def test_a_signed_token_authenticates_its_subject(data_dir: Path, algorithm: str) -> None:
    settings = keyed(algorithm, data_dir=data_dir)
    async with calling(settings, signed(algorithm)) as alice:
        assert (await alice.created())["user_id"] == "alice"
        assert (await alice.get("/api/tokens")).slug == "missing-scope"
        assert (await Caller(alice.api, None).get("/api/assets")).status == 401
        forged = alice.token[:-4] + "AAAA" if alice.token else ""
        assert (await Caller(alice.api, forged).get("/api/assets")).slug == "unauthenticated"


@every_algorithm
@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"exp": "never"},
        {"nbf": datetime(2100, 1, 1, tzinfo=UTC)},
        {"sub": None},
        {"sub": ""},
        {"sub": "system"},
        {"sub": "a\0b"},
        {"sub": "x" * 256},
        {"aud": "another service"},
    ],
    ids=str,
)
def test_a_token_with_an_invalid_claim_is_rejected(algorithm: str, changed: dict[str, Any]) -> None:
    assert verified(signed(algorithm, **changed), keyed(algorithm)) is None


@pytest.mark.parametrize("audience", ["ledger", ["other", "ledger"]])
def test_a_token_is_accepted_only_for_the_required_audience(audience: Any) -> None:
    settings = keyed("HS256", jwt_audience="ledger")

    assert verified(signed("HS256", aud=audience), settings) is not None
    assert verified(signed("HS256", aud="other"), settings) is None
    assert verified(signed("HS256"), settings) is None


@pytest.mark.parametrize(
    ("changed", "granted"),
    [
        ({"scope": "read audit"}, ["audit", "read"]),
        ({"scope": None, "scopes": ["write", "openid"]}, ["write"]),
        ({"scope": None, "scopes": "read profile"}, ["read"]),
        ({"scope": None}, []),
        ({"scope": 7}, []),
        ({"scope": {"admin": True}}, []),
        ({"scope": ["admin", 7, None]}, ["admin"]),
        ({"scope": "administrator"}, []),
    ],
    ids=str,  # lists, for a set has another order in each pytest worker
)
def test_known_scopes_are_granted_and_others_ignored(
    changed: dict[str, Any], granted: list[str]
) -> None:
    assert verified(signed("HS256", **changed), keyed("HS256")) == ("alice", set(granted))


def test_a_public_key_is_never_used_as_an_hmac_secret() -> None:
    for algorithm, private in (("RS256", RSA), ("EdDSA", ED25519)):
        forged = unchecked({"alg": "HS256"}, pem(private).encode())

        assert verified(forged, keyed(algorithm)) is None


@every_algorithm
@pytest.mark.parametrize("alg", ["none", "None", "HS512", "RS512", "ES256", "", 7, None, []])
def test_a_token_cannot_choose_its_algorithm(algorithm: str, alg: Any) -> None:
    assert verified(unchecked({"alg": alg}, SECRET.encode()), keyed(algorithm)) is None


def unchecked(header: dict[str, Any], key: bytes) -> str:
    """Return a token of alice with this header, signed with HMAC whatever algorithm it names."""
    payload = {"sub": "alice", "exp": 4102444800, "scope": "read"}
    parts = [base64url(json.dumps(part).encode()) for part in ({"typ": "JWT", **header}, payload)]
    signature = hmac.digest(key, ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, base64url(signature)])


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "a.b.c.d", "ä.b.c", base64url(b"[" * 5000) + ".e30.", "=.=.="]
)
def test_a_malformed_token_is_rejected(token: str) -> None:
    assert verified(token, keyed("HS256")) is None


def jwk(private: Any, kid: str | None, **members: str) -> dict[str, Any]:
    kinds: dict[type, Any] = {
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
    }
    kind = next(kind for key_type, kind in kinds.items() if isinstance(private, key_type))
    members_of_key = dict(kind.to_jwk(private.public_key(), as_dict=True))
    return {**members_of_key, **({"kid": kid} if kid else {}), **members}


def jwks(tmp_path: Path, *keys: dict[str, Any]) -> Settings:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": keys}))
    return Settings(auth="jwt", jwt_jwks=path)


def test_a_token_with_a_key_id_is_verified_by_that_key_only(tmp_path: Path) -> None:
    old = rsa.generate_private_key(65537, 2048)
    settings = jwks(tmp_path, jwk(old, "old"), jwk(RSA, "new"), jwk(ED25519, "ed"))

    assert verified(signed("RS256", {"kid": "new"}), settings) is not None
    assert verified(signed("EdDSA", {"kid": "ed"}), settings) is not None
    assert verified(signed("RS256", {"kid": "old"}), settings) is None
    assert verified(signed("RS256", {"kid": "ed"}), settings) is None
    assert verified(signed("RS256", {"kid": "gone"}), settings) is None


def test_a_token_without_a_key_id_is_verified_by_any_matching_key(tmp_path: Path) -> None:
    old = rsa.generate_private_key(65537, 2048)
    settings = jwks(tmp_path, jwk(old, None), jwk(RSA, None))

    assert verified(signed("RS256"), settings) is not None


def test_keys_are_rotated_without_a_restart(tmp_path: Path) -> None:
    old, new = signed("RS256", {"kid": "old"}), signed("EdDSA", {"kid": "new"})
    tokens = verifier(jwks(tmp_path, jwk(RSA, "old")))
    assert [tokens.credential(text) is not None for text in (old, new)] == [True, False]

    jwks(tmp_path, jwk(RSA, "old"), jwk(ED25519, "new"))
    assert [tokens.credential(text) is not None for text in (old, new)] == [True, True]

    jwks(tmp_path, jwk(ED25519, "new"))
    assert [tokens.credential(text) is not None for text in (old, new)] == [False, True]


@pytest.mark.parametrize("text", ["", "{", '{"keys": []}', None])
def test_a_broken_key_file_leaves_the_previous_keys_in_force(
    tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    settings = jwks(tmp_path, jwk(RSA, "old"))
    tokens, path = verifier(settings), tmp_path / "keys.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)

    assert tokens.credential(signed("RS256", {"kid": "old"})) is not None
    assert tokens.credential(signed("RS256", {"kid": "old"})) is not None
    assert caplog.text.count("the previous keys stay in force") == 1, "logged once, not each time"

    jwks(tmp_path, jwk(ED25519, "new"))
    assert tokens.credential(signed("RS256", {"kid": "old"})) is None
    assert tokens.credential(signed("EdDSA", {"kid": "new"})) is not None


def test_keys_of_unsupported_kinds_and_uses_are_ignored(tmp_path: Path) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    settings = jwks(tmp_path, jwk(curve, "ec"), jwk(RSA, "enc", use="enc"), jwk(ED25519, "ed"))

    assert verified(signed("EdDSA", {"kid": "ed"}), settings) is not None
    assert verified(signed("RS256", {"kid": "enc"}), settings) is None


@pytest.mark.parametrize(
    "bad",
    [
        {"kty": "oct", "k": base64url(b"short"), "kid": "weak"},
        {"kty": "RSA", "n": "x", "kid": "broken"},
        jwk(rsa.generate_private_key(65537, 1024), "short"),
    ],
    ids=["a short secret", "a broken key", "a short RSA key"],
)
def test_a_bad_key_of_a_set_leaves_the_others_in_force(
    tmp_path: Path, bad: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    tokens = verifier(jwks(tmp_path, jwk(RSA, "old")))

    jwks(tmp_path, bad, jwk(ED25519, "new"))

    assert tokens.credential(signed("EdDSA", {"kid": "new"})) is not None
    assert tokens.credential(signed("RS256", {"kid": "old"})) is None
    assert "a key is not used" in caplog.text


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [{"kty": "EC", "crv": "P-256"}],
        [{"kty": "oct", "k": base64url(b"short"), "kid": "weak"}],
        [{"kty": "RSA", "n": "x", "kid": "broken"}],
        [7],
        [{}],
    ],
    ids=str,
)
def test_a_key_set_without_a_usable_key_is_refused(tmp_path: Path, keys: list[Any]) -> None:
    with pytest.raises(TokenKeyError):
        verifier(jwks(tmp_path, *keys))


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", '{"keys": 7}'])
def test_a_malformed_key_set_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.json").write_text(text)

    with pytest.raises(TokenKeyError):
        verifier(Settings(auth="jwt", jwt_jwks=tmp_path / "keys.json"))


@pytest.mark.parametrize(
    "key",
    [
        "tiny",
        pem(rsa.generate_private_key(65537, 1024)),
        pem(ec.generate_private_key(ec.SECP256R1())),
        "-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----",
    ],
    ids=["secret", "rsa", "curve", "pem"],
)
def test_a_weak_or_unsupported_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(TokenKeyError) as refused:
        verifier(Settings(auth="jwt", jwt_key=SecretStr(key)))

    assert key not in str(refused.value)


def test_jwt_settings_need_a_key_and_never_show_the_key() -> None:
    with pytest.raises(ValidationError, match="needs --jwt-key, --jwt-jwks or --jwt-issuer"):
        Settings(auth="jwt")

    assert SECRET not in repr(keyed("HS256"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "ledger.example"])
def test_a_host_beyond_loopback_needs_authentication(host: str) -> None:
    with pytest.raises(ValidationError, match="has to be loopback"):
        Settings(host=host)

    assert Settings(host=host, auth="tokens").host == host
