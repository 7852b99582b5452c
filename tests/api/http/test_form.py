"""Multipart forms: a malformed form is refused, never with a 5xx, a hang or a stray file; a form in
one piece and a form in chunks are answered alike."""

import hashlib
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import orjson
import pytest

from asset_ledger.api.settings import Settings
from tests.api.running import (
    BOUNDARY,
    FORM,
    Answer,
    Api,
    form,
    multipart,
    part,
    serving,
    stray_files,
)
from tests.builders import short

EMPTY_DIGEST = f"sha256:{hashlib.sha256().hexdigest()}"
VALID = form(b"\r\n--bytes\r\n\r\n", {"name": "n"})


async def chunked(body: bytes) -> AsyncIterator[bytes]:
    """Yield a body in pieces: without a Content-Length, the server parses piece by piece."""
    size = max(50, len(body) // 20)
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def post(api: Api, body: bytes, content_type: str = FORM["Content-Type"]) -> Answer:
    """Send a body whole and in pieces, and check that both are answered alike."""
    headers = {"Content-Type": content_type}
    whole = await api.call("POST", "/api/assets", data=body, headers=headers)
    pieces = await api.call("POST", "/api/assets", data=chunked(body), headers=headers)
    assert (whole.status, verdict(whole)) == (pieces.status, verdict(pieces)), body
    return whole


def verdict(answer: Answer) -> tuple[str, ...]:
    if answer.status == 201:
        asset = answer.json
        return (asset["name"], asset["content_type"], str(asset["digest"]))
    return (answer.slug,)


def truncations() -> Iterator[bytes]:
    complete = len(VALID) - len("\r\n")  # the form ends before the last line break
    return (VALID[:stop] for stop in range(complete))


def mutations() -> Iterator[bytes]:
    chance = random.Random(7)
    for _ in range(300):
        body = bytearray(VALID)
        for _ in range(chance.randint(1, 3)):
            offset = chance.randrange(len(body))
            match chance.randrange(4):
                case 0:
                    del body[offset : offset + chance.randint(1, 9)]
                case 1:
                    body[offset:offset] = chance.choice(
                        [b"\r", b"\n", b"\r\n", b"--", b":", b"\x00"]
                    )
                case 2:
                    body[offset] = chance.randrange(256)
                case _:
                    body[offset:offset] = body[offset : offset + chance.randint(1, 60)]
        yield bytes(body)


async def test_a_form_cut_off_anywhere_is_refused(api: Api, data_dir: Path) -> None:
    before = api.head()

    for body in truncations():
        answer = await post(api, body)
        assert (answer.status, answer.slug) == (400, "malformed-body"), body

    assert api.head() == before
    assert stray_files(data_dir) == []


async def test_a_mutated_form_is_answered_alike_whole_and_chunked(api: Api, data_dir: Path) -> None:
    statuses = {(await post(api, body)).status for body in mutations()}

    assert statuses <= {201, 400, 422}
    assert {201, 400} <= statuses, "the mutations are either too tame or too wild"
    assert stray_files(data_dir) == []


FILE = part("file", b"x", filename="f")
JSON = part("json", b'{"name":"n"}')
OPEN = f"--{BOUNDARY}\r\n".encode()
CLOSE = multipart()
DISPOSITION = b'Content-Disposition: form-data; name="file"; filename="f"'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        CLOSE[:-4],
        b"x" * 1_000,
        multipart(FILE, FILE),
        multipart(JSON, JSON),
        multipart(FILE, JSON, FILE),
        multipart(FILE, part("other", b"x")),
        multipart(part("", b"x")),
        multipart(FILE, part("FILE", b"x")),
        multipart(part("json", b"not json")),
        OPEN + b"Content-Disposition: form-data\r\n\r\nx\r\n" + CLOSE,
        OPEN + b'Content-Disposition: attachment; name="file"\r\n\r\nx\r\n' + CLOSE,
        OPEN + b"Content-Type: image/png\r\n\r\nx\r\n" + CLOSE,
        OPEN + b"\r\nx\r\n" + CLOSE,
        OPEN + b"no colon\r\n\r\nx\r\n" + CLOSE,
        OPEN + DISPOSITION + b"\r\nbad name: x\r\n\r\nx\r\n" + CLOSE,
        OPEN + DISPOSITION + b"\r\nX: \xff\r\n\r\nx\r\n" + CLOSE,
        OPEN + DISPOSITION + b"\r\nX: y" * 20 + b"\r\n\r\nx\r\n" + CLOSE,
        OPEN + DISPOSITION + b"\r\nX: " + b"y" * 9_000 + b"\r\n\r\nx\r\n" + CLOSE,
        OPEN + DISPOSITION + b"\r\nX: " + b"y" * 70_000,
        OPEN + DISPOSITION + b"\r\nContent-Length: 7\r\n\r\nx\r\n" + CLOSE,
        OPEN + DISPOSITION + b"\r\nContent-Length: 0\r\n\r\nx\r\n" + CLOSE,
        OPEN + DISPOSITION + b"\r\nContent-Length: x\r\n\r\nx\r\n" + CLOSE,
        OPEN + DISPOSITION + b"\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n" + CLOSE,
        (OPEN + DISPOSITION + b"\r\n\r\nx\r\n" + CLOSE).replace(b"\r\n", b"\n"),
        (OPEN + DISPOSITION + b"\r\n\r\nx\r\n" + CLOSE).replace(b"\r\n", b"\r"),
        b"x" + multipart(FILE),
        multipart(FILE).replace(BOUNDARY.encode(), b"another-boundary"),
        multipart(FILE)[:-4] + b"\r\n",
        multipart(FILE)[:-4] + b"xx\r\n",
        b"x" * 1_000_000,
        multipart(FILE) + b"x" * 1_000_000,
    ],
)
async def test_a_malformed_form_is_refused(api: Api, data_dir: Path, body: bytes) -> None:
    before = api.head()

    answer = await post(api, body)

    assert (answer.status, answer.slug) == (400, "malformed-body")
    assert api.head() == before
    assert stray_files(data_dir) == []


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "x" * 201,
        "multipart/form-data; Boundary",
        "multipart/form-data; boundary=\u00e9",
    ],
)
async def test_a_form_without_a_valid_boundary_is_refused(api: Api, content_type: str) -> None:
    answer = await post(api, multipart(FILE), content_type)

    assert (answer.status, answer.slug) == (400, "malformed-body")


@pytest.mark.parametrize(
    "body",
    [
        multipart(FILE, JSON),
        multipart(JSON, FILE),
        b"\r\n" + multipart(FILE, JSON),
        b"a preamble\r\n" + multipart(FILE, JSON),
        multipart(FILE, JSON)[:-2],
        multipart(FILE, JSON) + b"an epilogue",
        multipart(FILE, JSON).replace(b"form-data; name", b"form-data;name"),
        multipart(FILE, JSON).replace(b"Content-Disposition", b"content-disposition"),
        OPEN + DISPOSITION + b"\r\nContent-Length: 1\r\n\r\nx\r\n" + JSON + CLOSE,
        OPEN + DISPOSITION + b"\r\nContent-Transfer-Encoding: Binary\r\n\r\nx\r\n" + JSON + CLOSE,
        OPEN + DISPOSITION + b"\r\nContent-Type: multipart/mixed\r\n\r\n--x\r\n" + JSON + CLOSE,
        multipart(part("file", b"x", filename=""), JSON),
        multipart(part("json", b'{"name":"n"}', filename="fields.json"), FILE),
    ],
)
async def test_an_unusual_but_valid_form_is_accepted(api: Api, body: bytes) -> None:
    answer = await post(api, body)

    assert (answer.status, answer.json["name"]) == (201, "n")


@pytest.mark.parametrize("quotes", ['"{}"', "{}"])
async def test_a_boundary_is_accepted_with_and_without_quotes(api: Api, quotes: str) -> None:
    boundary = quotes.format(BOUNDARY)

    answer = await post(
        api, multipart(FILE), f"Multipart/Form-Data; charset=utf-8; boundary={boundary}"
    )

    assert answer.status == 201


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ('filename="a b.png"', "a b.png"),
        ("filename=plain.png", "plain.png"),
        ('filename="Grüße 文件.png"', "Grüße 文件.png"),
        ('filename="../../etc/passwd"', "../../etc/passwd"),
        ('filename="..\\\\..\\\\x"', "..\\\\..\\\\x"),
        ('filename="say %22hi%22"', 'say "hi"'),
        ("filename=\"x\"; filename*=UTF-8''%e2%82%ac%20rates", "€ rates"),
        ("filename*=utf-8'en'a%2Fb", "a/b"),
    ],
)
async def test_a_file_name_is_decoded_and_never_treated_as_a_path(
    api: Api, filename: str, name: str
) -> None:
    head = f'Content-Disposition: form-data; name="file"; {filename}'.encode()

    answer = await post(api, OPEN + head + b"\r\n\r\nx\r\n" + CLOSE)

    assert (answer.status, answer.json["name"]) == (201, name)


@pytest.mark.parametrize("filename", ["a%0D%0Ab", "", quote("\u0085")])
async def test_an_invalid_file_name_is_refused(api: Api, filename: str) -> None:
    head = f"Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''{filename}".encode()

    answer = await post(api, OPEN + head + b"\r\n\r\nx\r\n" + CLOSE)

    assert (answer.status, answer.slug) == (422, "bad-field")


async def test_contents_with_delimiter_bytes_are_stored_unchanged(api: Api) -> None:
    for content in (
        f"\r\n--{BOUNDARY}"[:-1].encode(),
        f"--{BOUNDARY}--".encode(),
        b"\r\n" * 50,
        b"\r\n--",
        b"\r",
        b"--",
        b"\r\n\r\n",
    ):
        answer = await post(api, multipart(part("file", content, filename="f")))
        assert (await api.get(answer.json["get_url"])).body == content


@pytest.mark.parametrize("cut", [0, 100, 200_000])
@pytest.mark.parametrize("framing", ["Content-Length: 400000", "Transfer-Encoding: chunked"])
async def test_an_upload_leaves_nothing_when_its_client_disconnects(
    api: Api, data_dir: Path, cut: int, framing: str
) -> None:
    before = api.head()
    body = form(b"x" * 300_000, {"name": "n"})[:cut]
    sent = b"%x\r\n%b\r\n" % (len(body), body) if "chunked" in framing and cut else body
    head = f"POST /api/assets HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n"

    answer = await api.raw(
        head.encode() + f"Content-Type: {FORM['Content-Type']}\r\n\r\n".encode() + sent,
        half_close=True,
    )

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert (await api.get("/health")).body == b"OK"
    await api.server.drain(30)  # the handler may still be removing its file
    assert api.head() == before
    assert stray_files(data_dir) == []


@pytest.mark.parametrize("sent", [0, 200_000])
async def test_a_stalled_upload_is_refused_and_frees_its_slot(data_dir: Path, sent: int) -> None:
    body = form(b"x" * 300_000, {"name": "n"})
    head = "POST /api/assets HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {len(body)}\r\n"
    head += "Expect: 100-continue\r\n" if not sent else ""

    settings = Settings(data_dir=data_dir, queue_size=1)
    async with serving(settings, patience=0.2) as api:
        answer = await api.raw(head.encode() + b"\r\n" + body[:sent])
        assert (await api.upload()).status == 201

    assert b"HTTP/1.1 408 " in answer
    assert b"urn:asset-ledger:stalled-body" in answer
    assert stray_files(data_dir) == []


@pytest.mark.parametrize(
    "sent",
    [b"zz\r\n", b"2\r\nabc\r\n", b"-1\r\n\r\n", b"ffffffffffffffffff\r\n", b"5\r\nabcdefgh"],
)
async def test_malformed_chunks_are_refused(api: Api, data_dir: Path, sent: bytes) -> None:
    answer = await api.raw(
        b"POST /api/assets?name=n HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + sent
    )

    assert answer[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")
    assert b"application/problem+json" in answer
    assert stray_files(data_dir) == []


async def test_a_refused_upload_of_a_large_file_leaves_no_file(api: Api, data_dir: Path) -> None:
    body = multipart(part("file", b"x" * 500_000, filename="f"), part("json", b"{"))

    answer = await post(api, body)

    assert (answer.status, answer.slug) == (400, "malformed-body")
    assert stray_files(data_dir) == []


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("utf-8''caf%C3%A9.txt", "café.txt"),
        ("ISO-8859-1''caf%E9.txt", "café.txt"),
        ("UTF-8''100%25.txt", "100%.txt"),
    ],
)
async def test_an_extended_file_name_is_decoded_in_its_charset(
    api: Api, value: str, name: str
) -> None:
    answer = await post(api, with_extended_name(value))

    assert (answer.status, answer.json["name"]) == (201, name)


@pytest.mark.parametrize(
    "value",
    [
        "utf-8''caf%E9.txt",  # ISO-8859-1, declared as UTF-8
        "utf-8''%e2%82.txt",  # a cut-off letter
        "utf-8''%ED%A0%80.txt",  # a lone surrogate
        "utf-8''100%.txt",
        "windows-1252''caf%E9.txt",
        "''caf%E9.txt",
    ],
)
async def test_an_extended_file_name_that_cannot_be_decoded_is_refused(
    api: Api, value: str
) -> None:
    answer = await post(api, with_extended_name(value))

    assert (answer.status, answer.slug) == (400, "malformed-body")
    assert "filename*" in answer.json["detail"]


def with_extended_name(value: str) -> bytes:
    head = f'Content-Disposition: form-data; name="file"; filename*={value}'.encode()
    return OPEN + head + b"\r\n\r\nx\r\n" + CLOSE


EMPTY_INPUT = part("file", b"", filename="")


@pytest.mark.parametrize(
    "fields",
    [
        b'{"name":"pictures","content_type":"folder"}',
        b'{"name":"only a label"}',
        b'{"name":"tagged","tags":["a"]}',
    ],
)
async def test_a_file_input_that_was_left_empty_is_no_file(api: Api, fields: bytes) -> None:
    answer = await post(api, multipart(EMPTY_INPUT, part("json", fields)))

    assert (answer.status, answer.json["get_url"], answer.json["digest"]) == (201, None, None)


async def test_an_empty_file_with_a_name_is_a_file(api: Api) -> None:
    answer = await post(api, multipart(part("file", b"", filename="empty.log")))

    assert (answer.status, answer.json["size"], answer.json["name"]) == (201, 0, "empty.log")
    assert answer.json["digest"] == EMPTY_DIGEST


URLENCODED = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "pictures", "content_type": "folder"},
        {"name": "100% +& =猫.png", "tags": ["a;b"], "metadata": {"k": "%zz + %41"}},
        {"name": "n" * 1_000, "metadata": {"k": "猫" * 9_000}},
    ],
    ids=["folder", "special", "long"],
)
async def test_an_urlencoded_json_is_read_as_any_json(api: Api, fields: dict[str, object]) -> None:
    text = orjson.dumps(fields).decode()

    answer = await post(api, urlencode({"json": text}).encode(), URLENCODED)
    with_input = await post(api, urlencode({"json": text, "file": ""}).encode(), URLENCODED)

    assert (answer.status, with_input.status) == (201, 201)
    assert {name: answer.json[name] for name in fields} == fields
    assert (answer.json["digest"], answer.json["get_url"]) == (None, None)


async def test_an_urlencoded_json_repeats_a_request_in_another_encoding(api: Api) -> None:
    fields = {"name": "pictures", "content_type": "folder"}
    key = {"Idempotency-Key": "k"}

    first = await api.upload(None, headers=key, **fields)
    body = urlencode({"json": orjson.dumps(fields).decode()}).encode()
    headers = {**key, "Content-Type": f"{URLENCODED}; charset=utf-8"}
    repeated = await api.call("POST", "/api/assets", data=body, headers=headers)

    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert repeated.json == first.json


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"", 400, "malformed-body"),
        (b'{"name":"n"}', 400, "malformed-body"),
        (b"name=n", 400, "malformed-body"),
        (b"json=%7B%22name%22%3A%22n%22%7D&json=%7B%7D", 400, "malformed-body"),
        (b"json=%7B%22name%22%3A%22n%22%7D&file=x", 400, "malformed-body"),
        (b"json=%7B%22name%22%3A%22n%22%7D&other=", 400, "malformed-body"),
        (b"json=%7B%22name%22%3A%22%FF%22%7D", 400, "malformed-body"),
        (b'json={"name":"\xff"}', 400, "malformed-body"),
        (b"json=not+json", 400, "malformed-body"),
        (b"json=%7B%22name%22%3A%22n%22%2C%22colour%22%3A1%7D", 422, "bad-field"),
        (b"json=" + b"%20" * (256 * 1024 + 1), 413, "too-large"),
        (b"json=" + b"a" * (800 * 1024), 413, "too-large"),
        (b"&".join([b"a="] * 100_000), 400, "malformed-body"),
    ],
    ids=short,
)
async def test_an_urlencoded_form_without_one_valid_json_is_refused(
    api: Api, body: bytes, status: int, slug: str
) -> None:
    before = api.head()

    answer = await post(api, body, URLENCODED)

    assert (answer.status, answer.slug) == (status, slug)
    assert api.head() == before
