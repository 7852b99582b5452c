"""The examples of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""

from datetime import UTC, datetime, timedelta

import pytest

from asset_ledger.api.s3.errors import S3Error
from asset_ledger.api.s3.signature import SignedRequest, claimed, verify

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2013, 5, 24, tzinfo=UTC)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SCOPE = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"


def authorization(headers: str, signature: str) -> str:
    signed = f"Credential={SCOPE},SignedHeaders={headers},Signature={signature}"
    return f"AWS4-HMAC-SHA256 {signed}"


def headers(signature: str, **more: str) -> dict[str, str]:
    found = {
        "host": "examplebucket.s3.amazonaws.com",
        "X-Amz-Date": "20130524T000000Z",
        "X-Amz-Content-Sha256": EMPTY,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    found["x-amz-date"], found["x-amz-content-sha256"] = found["X-Amz-Date"], EMPTY
    names = ";".join(sorted({name.lower() for name in found}))
    return found | {"Authorization": authorization(names, signature)}


GET = SignedRequest(
    "GET",
    "/test.txt",
    "",
    headers("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", range="bytes=0-9"),
)
LIST = SignedRequest(
    "GET",
    "/",
    "max-keys=2&prefix=J",
    headers("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
)
LIFECYCLE = SignedRequest(
    "GET",
    "/",
    "lifecycle",
    headers("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
)
PRESIGNED = SignedRequest(
    "GET",
    "/test.txt",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
    {"host": "examplebucket.s3.amazonaws.com"},
)
EXAMPLES = pytest.mark.parametrize("sent", [GET, LIST, LIFECYCLE, PRESIGNED])


def check(sent: SignedRequest, secret: str = SECRET, now: datetime = NOW) -> None:
    signed = claimed(sent, now)
    assert signed is not None
    assert signed.key_id == "AKIAIOSFODNN7EXAMPLE"
    verify(signed, sent, secret)


@EXAMPLES
def test_the_published_examples_are_accepted(sent: SignedRequest) -> None:
    check(sent)


@EXAMPLES
@pytest.mark.parametrize(
    "altered",
    [
        {"method": "PUT"},
        {"path": "/test.txt2"},
        {"query": "x=1&"},
        {"headers": {"host": "other.example"}},
    ],
)
def test_an_altered_request_is_refused(sent: SignedRequest, altered: dict[str, object]) -> None:
    changed = {
        "method": altered.get("method", sent.method),
        "path": altered.get("path", sent.path),
        "query": f"{altered.get('query', '')}{sent.query}",
        "headers": {**sent.headers, **altered.get("headers", {})},  # type: ignore[dict-item]
    }
    with pytest.raises(S3Error, match="does not match"):
        check(SignedRequest(**changed))  # type: ignore[arg-type]


@EXAMPLES
def test_another_secret_is_refused(sent: SignedRequest) -> None:
    with pytest.raises(S3Error, match="check the secret key"):
        check(sent, "another")


@pytest.mark.parametrize(
    ("sent", "late"),
    [(GET, timedelta(minutes=16)), (GET, -timedelta(minutes=16)), (PRESIGNED, timedelta(days=2))],
)
def test_a_request_of_another_time_is_refused(sent: SignedRequest, late: timedelta) -> None:
    with pytest.raises(S3Error) as refused:
        check(sent, now=NOW + late)
    assert refused.value.code in ("RequestTimeTooSkewed", "AccessDenied")


@pytest.mark.parametrize(
    "query",
    [
        PRESIGNED.query.replace("86400", "604801"),
        PRESIGNED.query.replace("86400", "-1"),
        PRESIGNED.query.replace("%2Faws4_request", ""),
        PRESIGNED.query.replace("AWS4-HMAC-SHA256", "none"),
        PRESIGNED.query.replace("20130524T000000Z", "yesterday"),
        "AWSAccessKeyId=a&Signature=b&Expires=1",
    ],
)
def test_a_malformed_presigned_address_is_refused(query: str) -> None:
    with pytest.raises(S3Error):
        check(PRESIGNED._replace(query=query))


@pytest.mark.parametrize("text", ["", "Bearer x", "AWS4-HMAC-SHA256 Credential=a", "AWS a:b"])
def test_a_malformed_authorization_is_refused(text: str) -> None:
    with pytest.raises(S3Error):
        claimed(GET._replace(headers={**GET.headers, "Authorization": text}), NOW)


def test_a_request_without_a_signature_claims_nothing() -> None:
    assert claimed(SignedRequest("GET", "/", "", {"host": "h"}), NOW) is None


@pytest.mark.parametrize("value", ["\udce4", "caf\udce9", "\U0001f600"])
def test_bytes_that_are_not_utf8_are_signed_as_they_were_sent(value: str) -> None:
    sent = GET._replace(headers={**GET.headers, "range": value})
    signed = claimed(sent, NOW)
    presigned = claimed(PRESIGNED._replace(query=f"{PRESIGNED.query[:-1]}{value}"), NOW)

    assert signed is not None
    assert presigned is not None
    for each in (signed, presigned):
        with pytest.raises(S3Error) as refused:
            verify(each, sent, SECRET)
        assert refused.value.code == "SignatureDoesNotMatch"
