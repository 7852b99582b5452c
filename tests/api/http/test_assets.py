"""Assets through HTTP: create, list, read, delete, retry."""

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.ids import digest_of
from asset_ledger.projections import serving as projections
from tests.api.running import FORM, Api, form, multipart, part, serving

NODETOOL = [
    *("id", "user_id", "workflow_id", "parent_id", "name", "content_type", "size", "metadata"),
    *("created_at", "get_url", "thumb_url", "duration", "node_id", "job_id", "etag"),
]
OURS = ["digest", "version", "position", "updated_at", "tags", "derived_from", "attempt"]
IN_FRONT = ["id", "created_at", "updated_at", "digest"]  # where the tables find them
UNKNOWN = "0" * 32


async def names(api: Api, query: str) -> list[str]:
    answer = await api.get(f"/api/assets?{query}")
    assert answer.status == 200, answer.body
    return [asset["name"] for asset in answer.json["assets"]]


class TestRecording:
    async def test_an_upload_is_answered_with_the_asset(self, api: Api) -> None:
        answer = await api.upload(
            b"\x89PNG", name="output.png", node_id="n", job_id="j", workflow_id="w"
        )

        asset = answer.json
        assert answer.status == 201
        others = [name for name in (*NODETOOL, *OURS) if name not in IN_FRONT]
        assert list(asset) == [*IN_FRONT, *others]
        assert answer.headers["Location"] == f"/api/assets/{asset['id']}"
        assert answer.headers["Ledger-Position"] == str(asset["position"]) == str(api.head())
        assert (asset["node_id"], asset["job_id"], asset["workflow_id"]) == ("n", "j", "w")
        assert asset["size"] == 4
        assert asset["digest"] == digest_of(b"\x89PNG")
        assert asset["get_url"] == f"/api/assets/{asset['id']}/content"
        assert (asset["user_id"], asset["parent_id"]) == ("1", "1")

    async def test_a_read_returns_the_same_asset_as_the_upload(self, api: Api) -> None:
        created = await api.created(
            name="ä.png", metadata={"seed": 7, "x": None}, tags=["b", "a"], duration=3
        )

        read = await api.get(f"/api/assets/{created['id']}")

        assert read.json == created
        assert (created["metadata"], created["tags"]) == ({"seed": 7, "x": None}, ["b", "a"])
        assert created["duration"] == 3.0

    @pytest.mark.parametrize("path", ["/api/assets", "/api/assets/"])
    async def test_paths_with_and_without_a_trailing_slash_answer_without_a_redirect(
        self, api: Api, path: str
    ) -> None:
        posted = await api.call("POST", path, data=form(b"x", {"name": "n"}), headers=FORM)
        listed = await api.get(path)

        assert (posted.status, listed.status) == (201, 200)

    async def test_a_form_may_hold_the_json_part_before_the_file(self, api: Api) -> None:
        body = multipart(part("json", b'{"name":"first"}'), part("file", b"bytes", filename="f"))

        answer = await api.call("POST", "/api/assets", data=body, headers=FORM)

        assert (answer.status, answer.json["name"], answer.json["size"]) == (201, "first", 5)

    async def test_an_upload_without_json_takes_name_and_type_from_the_file(self, api: Api) -> None:
        body = form(b"x", None, filename="holiday.png")

        asset = (await api.call("POST", "/api/assets", data=body, headers=FORM)).json

        assert (asset["name"], asset["content_type"]) == ("holiday.png", "image/png")

    async def test_a_null_field_counts_as_absent(self, api: Api) -> None:
        asset = await api.created(name=None, content_type=None, node_id=None, metadata=None)

        assert (asset["name"], asset["content_type"]) == ("a.bin", "image/png")
        assert (asset["node_id"], asset["metadata"]) == (None, None)

    async def test_a_declared_content_type_overrides_detection(self, api: Api) -> None:
        asset = await api.created(b"\x89PNG\r\n\x1a\n", content_type="text/plain")

        assert asset["content_type"] == "text/plain"

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png"),
            (b"glTF\x02\x00\x00\x00" + bytes(20), "model/gltf-binary"),
            (b'<?xml version="1.0"?><!-- a --><svg xmlns="x"/>', "image/svg+xml"),
            (b'\x20\x00\x00\x00\x00\x00\x00\x00{"weight":{}}', "application/vnd.safetensors"),
            (b"just words", "application/octet-stream"),
            (b"", "application/octet-stream"),
            (b"<!---->" * 1000, "application/octet-stream"),
        ],
    )
    async def test_an_absent_content_type_is_detected_from_the_bytes(
        self, api: Api, content: bytes, expected: str
    ) -> None:
        body = multipart(part("file", content, filename="f"))

        asset = (await api.call("POST", "/api/assets", data=body, headers=FORM)).json

        assert asset["content_type"] == expected

    @pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 131_072, 1_000_000, 5_000_000])
    async def test_contents_of_every_size_are_read_back_unchanged(
        self, api: Api, size: int
    ) -> None:
        content = bytes(range(256)) * (size // 256 + 1)

        asset = await api.created(content[:size])
        read = await api.get(asset["get_url"])

        assert asset["size"] == size
        assert read.body == content[:size]

    async def test_an_upload_accepts_a_chunked_form(self, api: Api) -> None:
        async def pieces() -> Any:
            body = form(b"x" * 100_000, {"name": "chunked"})
            for start in range(0, len(body), 777):
                yield body[start : start + 777]

        answer = await api.call("POST", "/api/assets", data=pieces(), headers=FORM)

        assert (answer.status, answer.json["size"]) == (201, 100_000)

    async def test_an_upload_is_answered_without_a_body_when_minimal_is_preferred(
        self, api: Api
    ) -> None:
        answer = await api.upload(name="n", headers={"Prefer": "respond-async, return=minimal"})

        assert (answer.status, answer.body) == (201, b"")
        assert answer.headers["Preference-Applied"] == "return=minimal"
        assert (await api.get(answer.headers["Location"])).status == 200

    async def test_a_folder_holds_assets(self, api: Api) -> None:
        folder = await api.created(None, name="renders", content_type="folder")
        inside = await api.created(name="in", parent_id=folder["id"])

        assert (folder["size"], folder["digest"], folder["get_url"]) == (0, None, None)
        assert inside["parent_id"] == folder["id"]
        assert await names(api, f"parent_id={folder['id']}") == ["in"]
        assert await names(api, "parent_id=") == await names(api, "parent_id=1") == ["renders"]

    async def test_a_folder_is_created_from_plain_json(self, api: Api) -> None:
        answer = await api.call(
            "POST", "/api/assets", json={"name": "renders", "content_type": "folder"}
        )

        assert (answer.status, answer.json["content_type"]) == (201, "folder")

    async def test_made_at_becomes_the_creation_time_in_utc(self, api: Api) -> None:
        asset = await api.created(name="old", made_at="2020-01-02T03:04:05+01:00")

        assert asset["created_at"] == "2020-01-02T02:04:05.000000Z"
        assert asset["updated_at"] > asset["created_at"]


class TestRawBodies:
    async def test_a_raw_body_takes_its_fields_from_the_query(self, api: Api) -> None:
        answer = await api.call(
            "POST",
            "/api/assets?name=raw%20one&node_id=n&tags=a&tags=b&duration=1.5&size=3"
            "&metadata=%7B%22k%22:[1]%7D",
            data=b"raw",
            headers={"Content-Type": "text/plain; charset=utf-8"},
        )

        asset = answer.json
        assert answer.status == 201, answer.body
        assert (asset["name"], asset["node_id"], asset["tags"]) == ("raw one", "n", ["a", "b"])
        assert (asset["metadata"], asset["duration"]) == ({"k": [1]}, 1.5)
        assert asset["content_type"] == "text/plain; charset=utf-8"
        assert (await api.get(asset["get_url"])).body == b"raw"

    @pytest.mark.parametrize("field", ["Repr-Digest", "Content-Digest"])
    async def test_a_digest_header_is_checked_against_the_body(self, api: Api, field: str) -> None:
        right = f"md5=:AAAA:, {_digest_field(b'right')}"
        path, before = "/api/assets?name=n", api.head()

        wrong = await api.call("POST", path, data=b"other", headers={field: right})
        good = await api.call("POST", path, data=b"right", headers={field: right})
        odd = await api.call("POST", path, data=b"x", headers={field: "sha-256=abc"})

        assert (wrong.status, wrong.slug) == (400, "digest-mismatch")
        assert good.status == 201
        assert (odd.status, odd.slug) == (400, "bad-parameter")
        assert api.head() == before + 1

    @pytest.mark.parametrize("field", ["Repr-Digest", "Content-Digest"])
    async def test_a_digest_header_is_checked_against_every_other_body(
        self, api: Api, field: str
    ) -> None:
        asset = await api.created(b"x")
        long = form(bytes(300_000), {"name": "long"})  # in several pieces
        bodies: list[tuple[str, str, str, bytes]] = [
            ("POST", "/api/assets", FORM["Content-Type"], form(b"file", {"name": "a"})),
            ("POST", "/api/assets", FORM["Content-Type"], long),
            ("POST", "/api/assets", "application/json", b'{"name": "a"}'),
            (
                "POST",
                "/api/assets",
                "application/x-www-form-urlencoded",
                b"json=%7B%22name%22:1%7D",
            ),
            ("PATCH", f"/api/assets/{asset['id']}", "application/json", b'{"name": "b"}'),
            ("PUT", f"/api/assets/{asset['id']}", "application/json", b'{"name": "c"}'),
            ("POST", "/api/jobs/j/start", "application/json", b'{"workflow_id": "w"}'),
        ]
        for method, path, media_type, body in bodies:
            before, headers = api.head(), {"Content-Type": media_type}
            for other in (b"file", body[:-1], b""):
                headers[field] = _digest_field(other)
                wrong = await api.call(method, path, data=body, headers=headers)
                assert (wrong.status, wrong.slug) == (400, "malformed-body")
                assert field in wrong.json["detail"]
            assert api.head() == before
            headers[field] = _digest_field(body)
            right = await api.call(method, path, data=body, headers=headers)
            assert right.status in (200, 201, 422), right.body  # 422: a name that is no text

    async def test_an_empty_body_creates_an_asset_without_content(self, api: Api) -> None:
        answer = await api.call("POST", "/api/assets?name=renders&content_type=folder")

        assert (answer.status, answer.json["digest"]) == (201, None)

    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ("name=a&name=b", "name"),
            ("name=a&metadata=%5B%5D", "metadata"),
            ("name=a&metadata=%7B", "metadata"),
            ("name=a&size=1_0", "size"),
            ("name=a&duration=nan", "duration"),
            ("name=a&node_id=", "node_id"),
            ("name=a&node_id=%00", "node_id"),
            ("name=a&nodeid=n", "nodeid"),
        ],
    )
    async def test_an_invalid_parameter_is_named_in_the_refusal(
        self, api: Api, query: str, parameter: str
    ) -> None:
        answer = await api.call("POST", f"/api/assets?{query}", data=b"x")

        assert (answer.status, answer.slug) == (400, "bad-parameter")
        assert [error["parameter"] for error in answer.json["errors"]] == [parameter]

    @pytest.mark.parametrize(
        ("media_type", "kind"),
        [
            ("application/json", "application/json"),
            ("text/csv; charset=utf-8", "text/csv; charset=utf-8"),
            ("application/octet-stream", "application/json"),
        ],
    )
    async def test_a_content_of_any_type_is_recorded_at_its_own_path(
        self, api: Api, media_type: str, kind: str
    ) -> None:
        path, headers = "/api/assets/content?name=a.json&tags=t", {"Content-Type": media_type}

        answer = await api.call("POST", path, data=b'{"a": 1}', headers=headers)

        assert (answer.status, answer.json["content_type"], answer.json["size"]) == (201, kind, 8)
        assert (await api.get(answer.json["get_url"])).body == b'{"a": 1}'
        assert (await api.call("POST", "/api/assets/content", data=b"x")).slug == "bad-field"

    @pytest.mark.parametrize("path", ["/api/assets", "/api/assets/content"])
    @pytest.mark.parametrize(
        "media_type", ["multipart/mixed; boundary=x", "application/x-www-form-urlencoded"]
    )
    async def test_a_raw_upload_refuses_the_content_type_of_a_form(
        self, api: Api, media_type: str, path: str
    ) -> None:
        answer = await api.call(
            "POST", f"{path}?name=n", data=b"x", headers={"Content-Type": media_type}
        )

        assert (answer.status, answer.slug) == (415, "unsupported-type")

    async def test_a_body_with_a_content_encoding_is_refused(self, api: Api) -> None:
        answer = await api.call(
            "POST", "/api/assets?name=n", data=b"x", headers={"Content-Encoding": "gzip"}
        )

        assert (answer.status, answer.slug) == (415, "unsupported-type")


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"nodeid": "n"}, ["nodeid"]),
            ({"name": 1, "tags": "a", "size": "1"}, ["name", "size", "tags"]),
            ({"tags": ["a", 1]}, ["tags.1"]),
            ({"tags": ["a", "a"]}, ["tags"]),
            ({"name": ""}, ["name"]),
            ({"name": "a\nb"}, ["name"]),
            ({"node_id": ""}, ["node_id"]),
            ({"job_id": "a\u0000"}, ["job_id"]),
            ({"metadata": []}, ["metadata"]),
            ({"metadata": {"a": "\u0000"}}, ["metadata"]),
            ({"duration": -1}, ["duration"]),
            ({"duration": True}, ["duration"]),
            ({"content_type": "image"}, ["content_type"]),
            ({"content_type": "folder"}, ["content_type"]),
            ({"parent_id": "nowhere"}, ["parent_id"]),
            ({"parent_id": UNKNOWN}, ["parent_id"]),
            ({"derived_from": [UNKNOWN]}, ["derived_from"]),
            ({"size": 3}, ["size"]),
            ({"digest": "md5:1"}, ["digest"]),
            ({"made_at": "yesterday"}, ["made_at"]),
            ({"made_at": "2020-01-01T00:00:00"}, ["made_at"]),
            ({"made_at": "0001-01-01T00:00:00+14:00"}, ["made_at"]),
        ],
    )
    async def test_an_invalid_field_is_named_in_the_refusal(
        self, api: Api, fields: dict[str, Any], named: list[str]
    ) -> None:
        before = api.head()

        answer = await api.upload(b"content", **fields)

        assert (answer.status, answer.slug) == (422, "bad-field")
        assert sorted(error["field"] for error in answer.json["errors"]) == named
        assert api.head() == before

    async def test_an_unknown_field_is_refused_with_a_suggestion(self, api: Api) -> None:
        answer = await api.upload(nodeid="n")

        assert "did you mean node_id?" in answer.json["detail"]

    async def test_a_digest_of_other_bytes_is_refused(self, api: Api) -> None:
        answer = await api.upload(b"content", digest=digest_of(b"other"))

        assert (answer.status, answer.slug) == (400, "digest-mismatch")

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"{",
            b"[]",
            b'"text"',
            b"null",
            b'{"name":"\xff"}',
            b'{"name":"\\ud800"}',
            b'{"name":NaN}',
            b'{"metadata":{"n":18446744073709551616}}',
            b'{"metadata":{"n":-9223372036854775809}}',
            b'{"metadata":{"text":"\\\\","n":[1,[-18446744073709551616]]}}',
            b'{"metadata":{"n":1e999}}',
            b'{"name":"a","name":"b"}',
            b'{"metadata":{"a":1,"a":2}}',
            b'{"metadata":' + b'{"a":' * 2_000 + b"1" + b"}" * 2_001,
            b"\xef\xbb\xbf{}",
        ],
    )
    async def test_invalid_json_is_refused(self, api: Api, text: bytes) -> None:
        body = multipart(part("file", b"x", filename="f"), part("json", text))

        answer = await api.call("POST", "/api/assets", data=body, headers=FORM)

        assert (answer.status, answer.slug) == (400, "malformed-body")

    @pytest.mark.parametrize("depth", [98, 99, 100, 253, 254, 900])
    @pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}])
    async def test_json_is_refused_when_nested_too_deep(
        self, api: Api, depth: int, key: dict[str, str]
    ) -> None:
        nested = b'{"a":' * depth + b'"{["' + b"}" * depth
        text = b'{"name":"n","metadata":%b}' % nested

        answer = await api.call(
            "POST",
            "/api/assets",
            data=text,
            headers={"Content-Type": "application/json", **key},
        )

        assert answer.status == (201 if depth < 100 else 400), answer.body

    @pytest.mark.parametrize(
        "number",
        [2**64 - 1, -(2**63), 2**53 + 1, "18446744073709551616", '"18446744073709551616', 1e25 / 3],
    )
    async def test_numbers_and_texts_of_digits_are_stored_exactly(
        self, api: Api, number: float | str
    ) -> None:
        asset = await api.created(metadata={"n": number})

        assert (await api.get(f"/api/assets/{asset['id']}")).json["metadata"] == {"n": number}

    @pytest.mark.parametrize("size", [33_000, 262_000])
    async def test_metadata_above_the_size_limit_is_refused(self, api: Api, size: int) -> None:
        answer = await api.upload(metadata={"a": "x" * size})

        assert (answer.status, answer.slug) == (413, "too-large")

    async def test_a_json_part_above_the_size_limit_is_refused(self, api: Api) -> None:
        answer = await api.upload(name="x" * 262_144)

        assert (answer.status, answer.slug) == (413, "too-large")

    async def test_a_form_upload_refuses_query_parameters(self, api: Api) -> None:
        answer = await api.call("POST", "/api/assets?node_id=n", data=form(b"x", {}), headers=FORM)

        assert (answer.status, answer.slug) == (400, "bad-parameter")

    @pytest.mark.parametrize("length", [999, 1_001])
    async def test_an_upload_above_the_limit_is_refused(self, data_dir: Path, length: int) -> None:
        async with serving(Settings(data_dir=data_dir, max_upload_bytes=1_000)) as api:
            fits = length <= 1_000
            formed = await api.upload(b"x" * length)
            raw = await api.call("POST", "/api/assets?name=n", data=b"x" * length)

            assert formed.status == raw.status == (201 if fits else 413)
            assert fits or formed.slug == raw.slug == "too-large"
            assert fits or all(
                "max_upload_bytes, which is 1,000" in a.json["detail"] for a in (formed, raw)
            )

    async def test_an_upload_is_refused_before_its_body_when_its_length_exceeds_the_limit(
        self, data_dir: Path
    ) -> None:
        async with serving(Settings(data_dir=data_dir, max_upload_bytes=1_000)) as api:
            answer = await api.raw(
                b"POST /api/assets?name=n HTTP/1.1\r\nHost: localhost\r\n"
                b"Expect: 100-continue\r\nContent-Length: 10000000000\r\n\r\n"
            )

        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"100 Continue" not in answer

    async def test_a_full_queue_refuses_an_upload_before_its_body_is_read(
        self, data_dir: Path
    ) -> None:
        async with serving(Settings(data_dir=data_dir, queue_size=1)) as api:
            with api.backend.ledger.slots.take():
                waiting = await api.raw(
                    b"POST /api/assets?name=n HTTP/1.1\r\nHost: localhost\r\n"
                    b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
                )
                busy = await api.upload(b"content")
            free = await api.upload(b"content")

        assert waiting.startswith(b"HTTP/1.1 503 ")
        assert b"100 Continue" not in waiting
        assert (busy.status, busy.slug, busy.headers["Retry-After"]) == (503, "busy", "1")
        assert free.status == 201

    async def test_a_full_queue_refuses_an_upload_of_a_large_file(self, data_dir: Path) -> None:
        async with serving(Settings(data_dir=data_dir, queue_size=1)) as api:
            with api.backend.ledger.slots.take():
                busy = await api.upload(b"x" * 3_000_000)
            free = await api.upload(b"x" * 3_000_000)

        assert (busy.status, busy.slug, free.status) == (503, "busy", 201)

    async def test_the_server_sends_100_continue_when_the_client_expects_it(self, api: Api) -> None:
        answer = await api.call("POST", "/api/assets?name=n", data=b"x" * 200_000, expect100=True)

        assert (answer.status, answer.json["size"]) == (201, 200_000)


class TestListing:
    async def test_filters_of_a_list_are_combined_with_and(self, api: Api) -> None:
        made: dict[str, dict[str, Any]] = {
            "a": {"node_id": "n1", "job_id": "j1", "workflow_id": "w1"},
            "b": {"node_id": "n2", "job_id": "j1", "workflow_id": "w1"},
            "c": {"node_id": "n1", "job_id": "j2", "workflow_id": "w1"},
            "d": {"node_id": "n1", "content_type": "text/plain"},
        }
        for name, fields in made.items():
            await api.created(name=name, **fields)

        assert await names(api, "node_id=n1") == ["a", "c", "d"]
        assert await names(api, "job_id=j1") == ["a", "b"]
        assert await names(api, "workflow_id=w1&node_id=n1&job_id=j1") == ["a"]
        assert await names(api, "node_id=n1&node_id=n2&job_id=j1") == ["a", "b"]
        assert await names(api, "content_type=text/") == ["d"]
        assert await names(api, "missing=job_id") == ["d"]
        assert await names(api, "missing=job_id&node_id=n2") == []
        assert await names(api, "sort=-created_at") == ["d", "c", "b", "a"]
        assert await names(api, "cursor=") == ["a", "b", "c", "d"]

    async def test_a_list_supports_every_filter_of_the_contract(self, api: Api) -> None:
        first = await api.created(b"one", name="a", tags=["x", "y"], made_at="2020-01-01T00:00:00Z")
        await api.created(b"three", name="b", tags=["y"])

        assert await names(api, "name=a") == ["a"]
        assert await names(api, "name=a&name=b") == ["a", "b"]
        assert await names(api, "tag=x") == ["a"]
        assert await names(api, "tag=y&sort=-name") == ["b", "a"]
        assert await names(api, f"digest={first['digest']}") == ["a"]
        assert await names(api, "created_before=2020-01-01T00:00:00Z") == []
        assert await names(api, "created_after=2020-01-01T00:00:00Z") == ["a", "b"]
        assert await names(api, "created_before=2020-01-01T00:00:01Z") == ["a"]
        assert await names(api, "size_min=4") == ["b"]
        assert await names(api, "size_min=3&size_max=5&sort=-size") == ["b", "a"]

    async def test_deleted_assets_are_listed_only_with_the_deleted_parameter(
        self, api: Api
    ) -> None:
        gone, _ = await api.created(name="gone"), await api.created(name="there")
        await api.call("DELETE", f"/api/assets/{gone['id']}")

        assert await names(api, "deleted=false") == await names(api, "") == ["there"]
        assert await names(api, "deleted=any&sort=-name") == ["there", "gone"]
        (tombstone,) = (await api.get("/api/assets?deleted=true")).json["assets"]
        assert (tombstone["name"], tombstone["deleted_by"]) == ("gone", "1")

    @pytest.mark.parametrize("sort", ["name", "-name", "size", "-size", "-created_at"])
    async def test_pages_list_every_asset_once_in_every_order(self, api: Api, sort: str) -> None:
        for number in range(5):
            await api.created(b"x" * (number % 2), name="bab"[number % 3])

        pages, query = [], f"/api/assets?sort={sort}&page_size=2"
        while query:
            answer = await api.get(query)
            pages.append([(asset["name"], asset["size"]) for asset in answer.json["assets"]])
            query = answer.headers.get("Link", "<>").partition(">")[0][1:]

        rows = [row for page in pages for row in page]
        keys = [{"name": name, "size": size}.get(sort.removeprefix("-")) for name, size in rows]
        assert [len(page) for page in pages] == [2, 2, 1]
        assert keys == sorted(keys, key=str, reverse=sort.startswith("-"))

    async def test_a_list_counts_the_assets_of_all_pages_when_count_is_exact(
        self, api: Api
    ) -> None:
        for number in range(3):
            await api.created(job_id=f"j{number % 2}")

        counted = await api.get("/api/assets?count=exact&page_size=1")
        narrowed = await api.get("/api/jobs/j0/assets?count=exact&page_size=1")

        assert (counted.json["count"], narrowed.json["count"]) == (3, 2)
        assert "count" not in (await api.get("/api/assets")).json

    async def test_pages_list_every_asset_once(self, api: Api) -> None:
        for number in range(7):
            await api.created(name=f"{number}", job_id="j")

        seen, query = [], "/api/assets?job_id=j&limit=3"
        while query:
            answer = await api.get(query)
            seen.append([asset["name"] for asset in answer.json["assets"]])
            following = answer.json["next"]
            assert (following == "") == ("Link" not in answer.headers)
            query = answer.headers.get("Link", "<>").partition(">")[0][1:]

        assert seen == [["0", "1", "2"], ["3", "4", "5"], ["6"]]

    async def test_a_cursor_of_another_query_is_refused(self, api: Api) -> None:
        for _ in range(2):
            await api.created(job_id="j", node_id="n")
        cursor = (await api.get("/api/assets?job_id=j&page_size=1")).json["next"]

        other = await api.get(f"/api/assets?node_id=n&page_size=1&cursor={cursor}")
        malformed = await api.get("/api/assets?cursor=%C3%A9")

        assert (other.status, other.slug) == (400, "bad-cursor")
        assert (malformed.status, malformed.slug) == (400, "bad-cursor")

    @pytest.mark.parametrize(
        ("query", "hint"),
        [
            ("nodeid=n", "did you mean node_id?"),
            ("zzz=1", "is not a parameter here"),
            ("job_id=", "is empty"),
            ("missing=name", "must be one of"),
            ("sort=colour", "must be one of"),
            ("deleted=yes", "must be one of"),
            ("count=about", "must be one of"),
            ("name=", "is empty"),
            ("created_after=yesterday", "created_after"),
            ("size_min=1.5", "whole number"),
            ("digest=abc", "64 lower-case"),
            ("count=exact&as_of=1&job_id=j", "as_of"),
            ("page_size=0", "1 or more"),
            ("page_size=-1", "whole number"),
            ("page_size=%D9%A1", "whole number"),
            ("page_size=1&limit=2", "more than once"),
            ("min_position=1e3", "whole number"),
            ("min_position=9223372036854775808", "between"),
        ],
    )
    async def test_a_list_refuses_an_invalid_parameter(
        self, api: Api, query: str, hint: str
    ) -> None:
        answer = await api.get(f"/api/assets?{query}")

        assert (answer.status, answer.slug) == (400, "bad-parameter")
        assert hint in answer.json["detail"]

    @pytest.mark.parametrize("page_size", ["1001", "9" * 100])
    async def test_a_page_size_above_the_limit_is_reduced(self, api: Api, page_size: str) -> None:
        assert (await api.get(f"/api/assets?page_size={page_size}")).status == 200

    async def test_lenient_queries_ignore_unknown_parameters(self, data_dir: Path) -> None:
        async with serving(Settings(data_dir=data_dir, lenient_queries=True)) as api:
            await api.created(name="n", node_id="n")

            assert await names(api, "nodeid=other&node_id=n") == ["n"]

    @pytest.mark.parametrize("query", ["node_id=%FF", "node_id=\udcff", "%FF=1"])
    async def test_a_query_of_invalid_utf8_never_fails_with_a_server_error(
        self, api: Api, query: str
    ) -> None:
        target = f"/api/assets?{query}".encode(errors="surrogateescape")
        answer = await api.raw(
            b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % target
        )

        assert answer.partition(b" ")[2][:3] in (b"200", b"400")


class TestReading:
    async def test_a_read_is_answered_304_when_the_etag_matches(self, api: Api) -> None:
        path = f"/api/assets/{(await api.created())['id']}"
        first = await api.get(path)

        repeated = await api.get(path, If_None_Match=f'"other", {first.headers["ETag"]}')
        changed = await api.get(path, If_None_Match='W/"v0-1"')

        assert first.headers["ETag"].startswith('W/"v1-')
        assert (repeated.status, repeated.body) == (304, b"")
        assert repeated.headers["ETag"] == first.headers["ETag"]
        assert changed.status == 200

    async def test_head_returns_the_headers_of_get(self, api: Api) -> None:
        path = f"/api/assets/{(await api.created())['id']}"

        got, headed = await api.get(path), await api.call("HEAD", path)

        assert (headed.status, headed.body) == (200, b"")
        assert headed.headers["Content-Length"] == str(len(got.body))
        assert headed.headers["ETag"] == got.headers["ETag"]

    @pytest.mark.parametrize("asset_id", [UNKNOWN, "x", "A" * 32, quote("ö/ö", safe=""), "%00"])
    @pytest.mark.parametrize("suffix", ["", "/content", "/download/"])
    async def test_an_unknown_asset_is_404(self, api: Api, asset_id: str, suffix: str) -> None:
        answer = await api.get(f"/api/assets/{asset_id}{suffix}")

        assert (answer.status, answer.slug) == (404, "unknown-asset")

    async def test_a_read_waits_for_its_minimum_position(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        created = await api.created()

        there = await api.get(f"/api/assets/{created['id']}?min_position={created['position']}")
        listed = await api.get(f"/api/assets?min_position={created['position']}")
        monkeypatch.setattr(
            projections, "PATIENCE", 0.0
        )  # seconds; the next read times out at once
        never = await api.get(f"/api/assets?min_position={created['position'] + 1}")

        assert (there.status, listed.status) == (200, 200)
        assert int(listed.headers["Ledger-Position"]) >= created["position"]
        assert (never.status, never.slug) == (503, "projection-behind")
        assert never.headers["Retry-After"] == "1"


class TestDeleting:
    async def test_a_deleted_asset_answers_410_with_the_deleting_user(self, api: Api) -> None:
        asset = await api.created(job_id="j")
        path = f"/api/assets/{asset['id']}"

        deleted = await api.call("DELETE", path)
        read, content = await api.get(path), await api.get(f"{path}/content")

        assert (deleted.status, deleted.json) == (200, {"deleted_asset_ids": [asset["id"]]})
        assert (read.status, read.slug) == (410, "asset-deleted")
        assert (content.status, content.slug) == (410, "asset-deleted")
        assert read.json["deleted_by"] == "1"
        assert read.json["deleted_at"] > asset["created_at"]
        assert read.json["position"] == int(deleted.headers["Ledger-Position"]) == api.head()
        assert await names(api, "job_id=j") == []

    async def test_a_second_deletion_records_nothing(self, api: Api) -> None:
        path = f"/api/assets/{(await api.created())['id']}"
        await api.call("DELETE", path)
        head = api.head()

        repeated = await api.call("DELETE", path)

        assert (repeated.status, repeated.json) == (200, {"deleted_asset_ids": []})
        assert api.head() == head

    async def test_a_folder_is_deleted_with_its_contents(self, api: Api) -> None:
        folder = await api.created(None, name="f", content_type="folder")
        inner = await api.created(None, name="g", content_type="folder", parent_id=folder["id"])
        leaf = await api.created(name="leaf", parent_id=inner["id"])

        deleted = (await api.call("DELETE", f"/api/assets/{folder['id']}")).json

        assert set(deleted["deleted_asset_ids"]) == {folder["id"], inner["id"], leaf["id"]}
        assert await names(api, "") == []

    async def test_a_deletion_of_an_unknown_asset_is_refused(self, api: Api) -> None:
        answer = await api.call("DELETE", f"/api/assets/{UNKNOWN}")

        assert (answer.status, answer.slug) == (404, "unknown-asset")


class TestRetries:
    async def test_a_repeated_key_records_once_and_replays_the_answer(self, api: Api) -> None:
        key = {"Idempotency-Key": "k1"}
        first = await api.upload(b"x", name="n", duration=1, headers=key)
        head = api.head()

        repeated = await api.upload(b"x", name="n", duration=1.0, headers=key)
        raw = await api.call(
            "POST",
            "/api/assets?name=n&duration=1",
            data=b"x",
            headers={**key, "Content-Type": "image/png"},
        )

        assert "Idempotency-Replayed" not in first.headers
        for replay in (repeated, raw):
            assert (replay.status, replay.json) == (201, first.json)
            assert replay.headers["Idempotency-Replayed"] == "true"
            assert replay.headers["Location"] == first.headers["Location"]
        assert api.head() == head

    async def test_a_key_is_refused_when_reused_for_another_request(self, api: Api) -> None:
        key = {"Idempotency-Key": "k1"}
        await api.upload(b"x", name="n", headers=key)

        for answer in (
            await api.upload(b"y", name="n", headers=key),
            await api.upload(b"x", name="m", headers=key),
            await api.upload(b"x", name="n", tags=["t"], headers=key),
        ):
            assert (answer.status, answer.slug) == (422, "key-reused")

    async def test_concurrent_requests_with_the_same_key_record_once(self, api: Api) -> None:
        key = {"Idempotency-Key": "race"}
        before = api.head()

        answers = await asyncio.gather(*(api.upload(b"x", name="n", headers=key) for _ in range(8)))

        assert {answer.status for answer in answers} == {201}
        assert len({answer.json["id"] for answer in answers}) == 1
        assert api.head() == before + 1

    async def test_a_refused_request_does_not_use_up_its_key(self, api: Api) -> None:
        key = {"Idempotency-Key": "k"}

        refused = await api.upload(b"x", name="", headers=key)
        good = await api.upload(b"x", name="n", headers=key)

        assert (refused.status, good.status) == (422, 201)

    async def test_a_repeated_deletion_is_replayed(self, api: Api) -> None:
        path = f"/api/assets/{(await api.created())['id']}"
        key = {"Idempotency-Key": "d"}

        first = await api.call("DELETE", path, headers=key)
        repeated = await api.call("DELETE", path, headers=key)

        assert (repeated.status, repeated.json) == (200, first.json)
        assert repeated.headers["Idempotency-Replayed"] == "true"

    async def test_a_repeated_folder_deletion_is_replayed_in_full(self, api: Api) -> None:
        folder = await api.created(None, name="f", content_type="folder")
        inner = await api.created(None, name="g", content_type="folder", parent_id=folder["id"])
        await api.created(name="leaf", parent_id=inner["id"])
        path, key = f"/api/assets/{folder['id']}", {"Idempotency-Key": "d"}

        first = await api.call("DELETE", path, headers=key)
        head = api.head()
        repeated = await api.call("DELETE", path, headers=key)

        assert len(first.json["deleted_asset_ids"]) == 3
        assert (repeated.json, api.head()) == (first.json, head)

    @pytest.mark.parametrize("key", ["", "x" * 256, "\u00e9"])
    async def test_an_invalid_idempotency_key_is_refused(self, api: Api, key: str) -> None:
        answer = await api.upload(headers={"Idempotency-Key": key})

        assert (answer.status, answer.slug) == (400, "bad-parameter")


def _digest_field(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(24)


class TestMediaTypes:
    """What an asset's content_type becomes, whichever way it was declared."""

    @pytest.mark.parametrize("declared", ["IMAGE/PNG", "Image/Png", "image/PNG"])
    async def test_type_and_subtype_are_recorded_in_lower_case(
        self, api: Api, declared: str
    ) -> None:
        raw = await api.call(
            "POST", "/api/assets?name=a", data=b"x", headers={"Content-Type": declared}
        )
        in_form = await api.created(content_type=declared)
        changed = await api.call(
            "PATCH", f"/api/assets/{(await api.created())['id']}", json={"content_type": declared}
        )
        listed = await api.get("/api/assets?content_type=IMAGE/")

        assert {raw.json["content_type"], in_form["content_type"]} == {"image/png"}
        assert changed.json["content_type"] == "image/png"
        assert len(listed.json["assets"]) == 3

    async def test_parameters_of_a_type_keep_their_case(self, api: Api) -> None:
        asset = await api.created(content_type="Text/Plain; charset=UTF-8")
        listed = await api.get("/api/assets?content_type=TEXT/plain;%20charset=UTF-8")

        assert asset["content_type"] == "text/plain; charset=UTF-8"
        assert [each["id"] for each in listed.json["assets"]] == [asset["id"]]

    @pytest.mark.parametrize(
        "declared", ["application/octet-stream", "Application/Octet-Stream; charset=binary"]
    )
    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("a", WEBP, "image/webp"),
            ("a", b"PAR1" + bytes(9), "application/vnd.apache.parquet"),
            ("a", b"ARROW1\x00\x00" + bytes(9), "application/vnd.apache.arrow.file"),
            ("a", b"\x93NUMPY\x01\x00v\x00{", "application/x-npy"),
            ("a", b"GGUF\x03\x00\x00\x00", "application/x-gguf"),
            ("rows.CSV", b"a,b\n1,2\n", "text/csv"),
            ("graph.json", b"{}", "application/json"),
            ("notes", b"words", "application/octet-stream"),
        ],
    )
    async def test_octet_stream_counts_as_not_declared(
        self, api: Api, declared: str, name: str, content: bytes, expected: str
    ) -> None:
        sent = {"data": content, "headers": {"Content-Type": declared}}
        raw = await api.call("POST", f"/api/assets?name={name}", **sent)
        in_form = await api.created(content, name=name, content_type=declared)

        assert (raw.json["content_type"], in_form["content_type"]) == (expected, expected)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Length": "0"}])
async def test_an_empty_raw_body_is_an_empty_file(api: Api, headers: dict[str, str]) -> None:
    sent = {"headers": headers, "skip_auto_headers": ["Content-Type"]}
    answer = await api.call("POST", "/api/assets?name=empty.log", **sent)

    content = await api.get(answer.json["get_url"])

    assert (answer.status, answer.json["size"]) == (201, 0)
    assert (content.status, content.body) == (200, b"")


async def test_an_empty_raw_body_of_a_folder_is_no_file(api: Api) -> None:
    answer = await api.call("POST", "/api/assets?name=pictures&content_type=folder")

    assert (answer.status, answer.json["get_url"]) == (201, None)
