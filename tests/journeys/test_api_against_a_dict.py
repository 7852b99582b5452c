"""Random requests to a real server, compared with a model in dicts."""

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from asset_ledger.api.settings import Settings
from tests.api.running import Answer, Api, serving
from tests.journeys.audit import audit
from tests.journeys.model import Doc, Model, merged

T = TypeVar("T")

WORDS = ("a", "b", "ü/x &=?")
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
metadata = st.dictionaries(texts, leaves.filter(lambda leaf: leaf not in (1e999, -1e999)) | texts)
# Sizes, not bytes: Hypothesis stores the repr of every example, which would be large.
contents = st.binary(max_size=100) | st.sampled_from([65_536, 65_537, 200_000]).map(bytes)


def as_json(fields: Doc) -> Doc:
    """Return the options of a call that sends these fields as JSON."""
    json = {"Content-Type": "application/json"}
    return {"data": orjson.dumps(fields), "headers": json}


def optional(strategy: "st.SearchStrategy[Any]") -> "st.SearchStrategy[Any]":
    return st.none() | strategy


labels = st.fixed_dictionaries(
    {"name": texts, "content_type": st.sampled_from(["image/png", "image/jpeg", "text/plain"])},
    optional={
        "workflow_id": st.sampled_from(WORDS),
        "node_id": st.sampled_from(WORDS),
        "job_id": st.sampled_from(WORDS),
        "metadata": metadata,
        "tags": st.lists(
            texts, unique=True, min_size=1, max_size=3
        ),  # an empty list is absent in a URL
        "duration": st.floats(0, 1e6),
    },
)
changes = st.fixed_dictionaries(
    {},
    optional={
        "name": texts,
        "content_type": st.sampled_from(["image/png", "image/jpeg"]),
        "metadata": metadata,
        "tags": st.lists(texts, unique=True, max_size=2),
        "duration": st.floats(0, 1e6),
    },
)
CLEARED: list[Doc] = [{}, {"tags": None}, {"duration": None}, {"parent_id": None}]
encodings = st.sampled_from(["form", "raw"])
filters = st.fixed_dictionaries(
    {},
    optional={
        "workflow_id": st.lists(st.sampled_from(WORDS), min_size=1, max_size=2),
        "node_id": st.lists(st.sampled_from(WORDS), min_size=1, max_size=2),
        "job_id": st.lists(st.sampled_from(WORDS), min_size=1, max_size=2),
        "content_type": st.lists(st.sampled_from(["image/", "image/p", "t", "folder"]), min_size=1),
        "missing": st.lists(st.sampled_from(["workflow_id", "node_id", "job_id"]), min_size=1),
        "parent_id": st.just([""]),
    },
)


class ApiAgainstModel(RuleBasedStateMachine):
    """Each rule does the same to the API and to the model, and compares."""

    assets = Bundle("assets")
    folders = Bundle("folders")
    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.Runner()
        self.model = Model()
        self.stack = AsyncExitStack()
        self.sent: dict[str, tuple[Doc, bytes | None, bytes]] = {}

    @initialize()
    def start(self) -> None:
        self.api: Api = self.wait(self._started())

    def wait(self, awaitable: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await awaitable

        return self.loop.run(awaited())

    async def _started(self) -> Api:
        return await self.stack.enter_async_context(serving(Settings(data_dir=self.folder)))

    def get(self, path: str, **headers: str) -> Answer:
        return self.wait(self.api.get(path, **headers))

    def upload(
        self, fields: Doc, content: bytes | None, encoding: str = "form", key: str | None = None
    ) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        if encoding == "form" or content is None:
            return self.wait(self.api.upload(content, headers=headers, **fields))
        parameters = {**fields, "metadata": orjson.dumps(fields.get("metadata", {}))}
        if "metadata" not in fields:
            del parameters["metadata"]
        headers["Content-Type"] = parameters.pop("content_type")
        query = urlencode(parameters, doseq=True)
        call = self.api.call("POST", f"/api/assets?{query}", data=content, headers=headers)
        return self.wait(call)

    def check_created(self, answer: Answer, fields: Doc, content: bytes | None) -> str:
        assert answer.status == 201, answer.body
        assert answer.json == self.model.create(fields, content, answer.json)
        assert answer.headers["Location"] == f"/api/assets/{answer.json['id']}"
        return str(answer.json["id"])

    @rule(target=assets, fields=labels, content=contents, encoding=encodings)
    def create_asset(self, fields: Doc, content: bytes, encoding: str) -> str:
        return self.check_created(self.upload(fields, content, encoding), fields, content)

    @rule(target=folders, fields=labels)
    def create_folder(self, fields: Doc) -> str:
        fields = {**fields, "content_type": "folder"}
        return self.check_created(self.upload(fields, None), fields, None)

    @rule(
        target=assets, parent=folders, fields=labels, content=optional(contents), encoding=encodings
    )
    def create_asset_in_folder(
        self, parent: str, fields: Doc, content: bytes | None, encoding: str
    ) -> Any:
        return self.create_in(parent, fields, content, encoding)

    @rule(target=folders, parent=folders, fields=labels)
    def create_folder_in_folder(self, parent: str, fields: Doc) -> Any:
        return self.create_in(parent, {**fields, "content_type": "folder"}, None, "form")

    def create_in(self, parent: str, fields: Doc, content: bytes | None, encoding: str) -> Any:
        fields = {**fields, "parent_id": parent}
        answer = self.upload(fields, content, encoding)
        if parent in self.model.live:
            return self.check_created(answer, fields, content)
        assert answer.slug == "bad-field"
        return multiple()

    @rule(parent=assets, fields=labels)
    def create_inside_an_asset(self, parent: str, fields: Doc) -> None:
        assert self.upload({**fields, "parent_id": parent}, b"").slug == "bad-field"

    @rule(target=assets, source=assets | folders, fields=labels, content=contents)
    def create_derived_asset(self, source: str, fields: Doc, content: bytes) -> str:
        fields = {**fields, "derived_from": [source]}
        return self.check_created(self.upload(fields, content), fields, content)

    @rule(target=keys, fields=labels, content=optional(contents), encoding=encodings)
    def create_with_key(self, fields: Doc, content: bytes | None, encoding: str) -> str:
        key = f"key {len(self.sent)}"
        answer = self.upload(fields, content, encoding, key)
        self.check_created(answer, fields, content)
        self.sent[key] = fields, content, answer.body
        return key

    @rule(key=keys, encoding=encodings)
    def retry_with_key(self, key: str, encoding: str) -> None:
        fields, content, body = self.sent[key]
        answer = self.upload(fields, content, encoding, key)
        assert (answer.status, answer.body) == (201, body)
        assert answer.headers["Idempotency-Replayed"] == "true"

    @rule(key=keys)
    def reuse_key_for_another_request(self, key: str) -> None:
        fields, content, _ = self.sent[key]
        other = {**fields, "name": fields["name"] + "!"}
        assert self.upload(other, content, "form", key).slug == "key-reused"

    @rule(asset_id=assets | folders)
    def read_asset(self, asset_id: str) -> None:
        answer = self.get(f"/api/assets/{asset_id}")
        if asset_id in self.model.live:
            assert answer.json == self.model.live[asset_id]
        else:
            assert (answer.slug, answer.status) == ("asset-deleted", 410)
            assert answer.json["position"] == self.model.deleted[asset_id]

    @rule(asset_id=assets, first=st.integers(0, 150))
    def read_content_range(self, asset_id: str, first: int) -> None:
        answer = self.get(f"/api/assets/{asset_id}/content", Range=f"bytes={first}-")
        content = self.model.contents[asset_id][-1]
        if asset_id in self.model.deleted:
            assert answer.status == 410
        elif content is None:
            assert answer.status == 404
        elif first < len(content):
            assert (answer.status, answer.body) == (206, content[first:])
        else:
            assert answer.status == 416
            assert answer.headers["Content-Range"] == f"bytes */{len(content)}"

    @rule(asset_id=assets | folders)
    def delete(self, asset_id: str) -> None:
        family = self.model.family(asset_id)
        answer = self.wait(self.api.call("DELETE", f"/api/assets/{asset_id}"))
        assert answer.status == 200
        ids = answer.json["deleted_asset_ids"]
        assert len(ids) == len(family)
        assert set(ids) == family
        assert ids[:1] == [asset_id][: len(ids)]
        self.model.delete(ids)

    @rule(asset_id=assets, changes=changes, content=optional(contents))
    def update(self, asset_id: str, changes: Doc, content: bytes | None) -> None:
        encoded = {} if content is None else {"data": base64.b64encode(content).decode()}
        fields = {**changes, **encoded, "data_encoding": "base64", "job_id": None}
        answer = self.wait(self.api.call("PUT", f"/api/assets/{asset_id}", **as_json(fields)))
        if asset_id in self.model.live:
            self.model.change(asset_id, changes, content)
            self.check_changed(answer, asset_id)
        else:
            assert answer.status == 410

    @rule(asset_id=assets | folders, cleared=st.sampled_from(CLEARED), patch=metadata)
    def patch(self, asset_id: str, cleared: Doc, patch: Doc) -> None:
        fields = {**cleared, "metadata": patch}
        answer = self.wait(self.api.call("PATCH", f"/api/assets/{asset_id}", json=fields))
        if asset_id in self.model.live:
            before = self.model.live[asset_id]["metadata"]
            nothing: Doc = {"tags": [], "duration": None, "parent_id": "1"}
            changes = {name: nothing[name] for name in cleared}
            self.model.change(asset_id, {**changes, "metadata": merged(before, patch)})
            self.check_changed(answer, asset_id)
        else:
            assert answer.status == 410

    @rule(asset_id=assets | folders, target_folder=folders)
    def move(self, asset_id: str, target_folder: str) -> None:
        move = {"parent_id": target_folder}
        answer = self.wait(self.api.call("PUT", f"/api/assets/{asset_id}", json=move))
        if asset_id not in self.model.live:
            assert answer.status == 410
        elif target_folder not in self.model.live or self.model.is_inside(asset_id, target_folder):
            assert answer.slug == "bad-field"
        else:
            self.model.change(asset_id, move)
            self.check_changed(answer, asset_id)

    @rule(asset_id=assets | folders, version=st.integers(0, 9))
    def update_if_match(self, asset_id: str, version: int) -> None:
        path, tag = f"/api/assets/{asset_id}", {"If-Match": f'W/"v{version}-1"'}
        answer = self.wait(self.api.call("PUT", path, json={"name": "never"}, headers=tag))
        asset = self.model.live.get(asset_id)
        if asset is None:
            assert answer.status == 410
        elif asset["version"] != version:
            assert answer.slug == "precondition-failed"
        else:
            self.model.change(asset_id, {"name": "never"})
            self.check_changed(answer, asset_id)

    @rule(asset_id=assets | folders)
    def restore(self, asset_id: str) -> None:
        answer = self.wait(self.api.call("POST", f"/api/assets/{asset_id}/restore"))
        restored = self.model.restore(asset_id)
        self.check_changed(answer, asset_id)
        for each in restored:
            self.check_changed(self.get(f"/api/assets/{each}"), each)

    def check_changed(self, answer: Answer, asset_id: str) -> None:
        """Compare an asset with the model. The time of the change comes from the answer."""
        assert answer.status == 200, answer.body
        asset = self.model.live[asset_id]
        asset["updated_at"] = asset["updated_at"] or answer.json["updated_at"]
        assert answer.json == asset

    @rule(asset_id=assets, version=st.integers(1, 5))
    def read_content_of_version(self, asset_id: str, version: int) -> None:
        answer = self.get(f"/api/assets/{asset_id}/content?version={version}")
        contents = self.model.contents[asset_id]
        if asset_id in self.model.deleted:
            assert answer.status == 410
        elif version > len(contents) or contents[version - 1] is None:
            assert answer.status == 404
        else:
            assert answer.body == contents[version - 1]

    @rule(
        filters=filters,
        parent=optional(folders),
        sort=st.sampled_from(["created_at", "name", "size"]),
        down=st.booleans(),
        size=st.integers(1, 4),
    )
    def list_assets(
        self, filters: dict[str, list[str]], parent: str | None, sort: str, down: bool, size: int
    ) -> None:
        conditions = {**filters, **({"parent_id": [parent]} if parent else {})}
        ages = list(self.model.origins)
        expected = sorted(
            self.model.matching(conditions),
            key=lambda asset: (
                asset[sort] if sort != "created_at" else "",
                ages.index(asset["id"]),
            ),
            reverse=down,
        )
        query = {**conditions, "sort": f"-{sort}" if down else sort, "page_size": size}
        assert self.pages("/api/assets", "assets", query) == expected

    @rule(job_id=st.sampled_from(WORDS), size=st.integers(1, 4))
    def read_history(self, job_id: str, size: int) -> None:
        path = f"/api/jobs/{urlencode({'': job_id}).removeprefix('=').replace('+', '%20')}/history"
        expected = self.model.histories.get(job_id)
        if expected is None:
            assert self.get(path).slug == "unknown-job"
            return
        events = self.pages(path, "events", {"page_size": size})
        assert [{name: event[name] for name in expected[0]} for event in events] == expected

    def pages(self, path: str, what: str, query: dict[str, Any]) -> list[Doc]:
        """Return the items of all pages, and check that only the last page is not full."""
        found: list[Doc] = []
        cursor = ""
        while True:
            page = self.get(f"{path}?{urlencode({**query, 'cursor': cursor}, doseq=True)}").json
            found += page[what]
            cursor = page["next"]
            if not cursor:
                assert len(page[what]) <= query["page_size"]
                return found
            assert len(page[what]) == query["page_size"]

    @rule(lose_tables=st.booleans())
    def restart(self, lose_tables: bool) -> None:
        self.wait(self.stack.aclose())
        if lose_tables:
            for path in self.folder.glob("projections.g*.db*"):
                path.unlink()
        self.start()

    @invariant()
    def head_is_that_of_the_model(self) -> None:
        if hasattr(self, "api"):
            assert self.api.head() == self.model.head

    def teardown(self) -> None:
        try:
            self.wait(self.stack.aclose())
            assert len(audit(self.folder)) == self.model.head
        finally:
            self.loop.close()
            shutil.rmtree(self.folder)


@pytest.mark.slow
class TestApiAgainstModel(ApiAgainstModel.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(
        max_examples=28, stateful_step_count=20, suppress_health_check=list(HealthCheck)
    )


@pytest.mark.chaos
class TestApiAgainstModelForLong(ApiAgainstModel.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(
        max_examples=500, stateful_step_count=60, suppress_health_check=list(HealthCheck)
    )
