"""Examples of requests and responses for the OpenAPI description, one for each model.

The tests validate each example against its model.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from asset_ledger.api.contract.assets import AssetIn
from asset_ledger.api.contract.bulk import (
    BulkDeleteIn,
    BulkRestoredOut,
    BulkRestoreIn,
    BulkUpdatedOut,
    BulkUpdateIn,
)
from asset_ledger.api.contract.collection import CollectIn, CollectionOut
from asset_ledger.api.contract.download import DownloadIn
from asset_ledger.api.contract.editing import AssetPatch, AssetUpdate
from asset_ledger.api.contract.health import ReadyOut
from asset_ledger.api.contract.hooks import HookIn, HookList, HookOut, NewHookOut
from asset_ledger.api.contract.jobs import JobFinishIn, JobStartIn
from asset_ledger.api.contract.ledger import LedgerOut
from asset_ledger.api.contract.nodes import NodeFinishIn, NodeStartIn
from asset_ledger.api.contract.openlineage import ReportsOut, RunEvents, RunEventsIn
from asset_ledger.api.contract.placeholders import (
    FoldersOut,
    PeaksOut,
    PlaceholderOut,
    PlaceholdersOut,
)
from asset_ledger.api.contract.projections import DiffOut, ProjectionsOut, RebuildIn
from asset_ledger.api.contract.proofs import ProofsIn
from asset_ledger.api.contract.repairs import CheckOut, RepairOut
from asset_ledger.api.contract.session import SessionIn, SessionOut
from asset_ledger.api.contract.shapes import (
    AssetOut,
    AssetPage,
    AssetTree,
    BulkDeletedOut,
    ComparisonOut,
    ConsistencyOut,
    DeletedOut,
    EventOut,
    EventPage,
    EventsOut,
    FoundPage,
    ImportsOut,
    JobOut,
    JobPage,
    LineageOut,
    LogKeyOut,
    LogKeysOut,
    NodePage,
    NodeRunOut,
    ProofOut,
    RecordedOut,
    UsagePage,
)
from asset_ledger.api.contract.skipping import SkipIn, SkipOut
from asset_ledger.api.contract.timeline import LaneOut, TimelineOut
from asset_ledger.api.contract.tokens import NewTokenOut, TokenIn, TokenList, TokenOut
from asset_ledger.api.contract.uploads import UploadOut
from asset_ledger.api.contract.users import UserList
from asset_ledger.api.contract.values import ValueOut, ValuesOut

EXAMPLE_ID: Final = "019bd6f0a3c47e1f8a2b3c4d5e6f7081"
_PLACEHOLDER: Final = {"id": EXAMPLE_ID, "version": 1, "width": 3, "height": 2, "thumbhash": "FGg="}
_TIME: Final = "2026-01-01T00:00:00.000000Z"
EXAMPLE_DIGEST: Final = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
_MADE_BY: Final = {"workflow_id": "workflow_789", "node_id": "node_123", "job_id": "job_456"}

_ASSET: Final[Mapping[str, Any]] = {
    "id": EXAMPLE_ID,
    "user_id": "1",
    **_MADE_BY,
    "parent_id": "1",
    "name": "output.txt",
    "content_type": "text/plain",
    "size": 6,
    "metadata": {"seed": 7},
    "created_at": _TIME,
    "get_url": f"/api/assets/{EXAMPLE_ID}/content",
    "thumb_url": None,
    "duration": None,
    "etag": "v1",
    "digest": EXAMPLE_DIGEST,
    "version": 1,
    "position": 2,
    "updated_at": _TIME,
    "tags": ["draft"],
    "derived_from": [],
    "attempt": 1,
}
_EVENT: Final[Mapping[str, Any]] = {
    "position": 2,
    "topic": "asset.created",
    "time": _TIME,
    "clock": None,
    "by": "1",
    "asset_id": EXAMPLE_ID,
    **_MADE_BY,
    "job_seq": 1,
    "attempt": 1,
    "late": False,
    "version": 1,
    "data": {"size": 6, "content_type": "text/plain", "digest": EXAMPLE_DIGEST, "name": "o.txt"},
}
_LOG_KEY: Final = {"since": 1, "key": "asset-ledger/019bd6f0a3c4+..."}
_DIFFERENCE: Final[Mapping[str, Any]] = {
    "generations": {"before": 1, "after": 2},
    "position": 12,
    "differences": 1,
    "tables": [
        {
            "table": "assets",
            "before": 9,
            "after": 9,
            "added": 0,
            "removed": 0,
            "changed": 1,
            "columns": {"size": 1},
            "new_columns": [],
            "lost_columns": [],
            "rows": [
                {
                    "change": "changed",
                    "key": {"seq": 2},
                    "columns": {"size": {"before": 7, "after": 6}},
                }
            ],
        }
    ],
    "incomparable": [],
}
_PROJECTIONS: Final[Mapping[str, Any]] = {
    "serving": {
        "generation": 1,
        "revision": "20260124_000000_add_node_job_fields_to_assets",
        "position": 12,
        "lag": 0,
        "state": "live",
        "error": None,
        "rows": {"assets": 9, "edges": 0, "jobs": 1, "usage": 7},
        "digest": None,
    },
    "building": {
        "generation": 2,
        "position": 8,
        "target": 12,
        "state": "reading",
        "dry_run": False,
        "rollback": False,
        "started_at": _TIME,
    },
    "previous": None,
    "last": None,
}
_JOB: Final[Mapping[str, Any]] = {
    "job_id": "job_456",
    "user_id": "1",
    "workflow_id": "workflow_789",
    "parent_job_id": None,
    "attempt": 1,
    "status": "completed",
    "error": None,
    "parameters": {"steps": 20},
    "started_at": _TIME,
    "finished_at": _TIME,
    "assets": 1,
    "bytes": 6,
    "attempts": [
        {
            "attempt": 1,
            "status": "completed",
            "error": None,
            "started_at": _TIME,
            "finished_at": _TIME,
        }
    ],
    "first_position": 2,
    "last_position": 4,
    "updated_at": _TIME,
}
_COMPARED: Final[Mapping[str, Any]] = {
    "node_id": "node_123",
    "name": "output.txt",
    "nth": 1,
    "status": "only_a",
    "a": _ASSET,
    "b": None,
}
_USAGE: Final[Mapping[str, Any]] = {
    "key": "node_123",
    "count": 1,
    "bytes": 6,
    "largest": 6,
    "first_seen": _TIME,
    "last_seen": _TIME,
    "runs": 2,
    "failed": 1,
    "seconds": 12.5,
}
_NODE_RUN: Final[Mapping[str, Any]] = {
    "job_id": "job_456",
    "attempt": 1,
    "node_id": "node_123",
    "run": "1",
    "user_id": "1",
    "workflow_id": "workflow_789",
    "status": "failed",
    "error": "out of memory",
    "seconds": 12.5,
    "started_at": _TIME,
    "finished_at": _TIME,
    "position": 4,
}
_NODE: Final[Mapping[str, Any]] = {
    "node_id": "node_123",
    "status": "failed",
    "runs": 2,
    "running": 0,
    "failed": 1,
    "seconds": 12.5,
    "longest": 12.0,
    "started_at": _TIME,
    "finished_at": _TIME,
    "error": "out of memory",
    "assets": 1,
    "bytes": 6,
}
_LANE: Final[Mapping[str, Any]] = {
    "node_id": "node_123",
    "first": _TIME,
    "last": _TIME,
    "assets": 1,
    "bytes": 6,
    "buckets": [[1767225600000, 1, 6, 2]],
}
_TOKEN: Final[Mapping[str, Any]] = {
    "id": "4f6c1b2a9d3e",
    "user_id": "alice",
    "scopes": ["read", "write"],
    "name": "laptop",
    "created_at": _TIME,
    "expires_at": None,
    "revoked_at": None,
}

_HOOK: Final[Mapping[str, Any]] = {
    "id": "4f6c1b2a9d3e",
    "url": "https://example.com/hook",
    "user_id": "1",
    "topics": ["asset.created"],
    **dict.fromkeys(("job_id", "node_id", "workflow_id")),
    "created_at": _TIME,
    "status": "live",
    "position": 12,
    "lag": 0,
    "delivered": 3,
    **dict.fromkeys(("error", "failing_since", "disabled_at")),
}

_RUN_ID: Final = "01941f29-7c00-7000-8000-000000000001"
_RUN_EVENT: Final[Mapping[str, Any]] = {
    "eventType": "COMPLETE",
    "eventTime": "2026-01-01T00:00:00Z",
    "run": {"runId": _RUN_ID},
    "job": {"namespace": "airflow", "name": "daily.clean"},
    "inputs": [{"namespace": "s3://lake", "name": "raw/day.csv"}],
    "outputs": [{"namespace": "s3://lake", "name": "clean/day.parquet"}],
    "producer": "https://example.com/scheduler",
}

_PARTS: Final = [
    {"name": "committer", "ok": True, "reason": None, "waiting": 0},
    {"name": "disk", "ok": True, "free_bytes": 53687091200},
    {"name": "projection tables", "ok": True, "reason": None, "position": 2, "lag": 0},
]

EXAMPLES: Final[Mapping[type[BaseModel], Any]] = {
    AssetIn: {"name": "pictures", "content_type": "folder", "tags": ["draft"]},
    AssetUpdate: {"name": "renamed.txt"},
    AssetPatch: {"tags": ["final"], "metadata": {"seed": None}},
    AssetOut: _ASSET,
    RecordedOut: _ASSET,
    AssetPage: {"assets": [_ASSET], "next": ""},
    AssetTree: {"assets": [_ASSET]},
    DownloadIn: {"asset_ids": [EXAMPLE_ID]},
    ProofsIn: {"asset_ids": [EXAMPLE_ID]},
    DeletedOut: {"deleted_asset_ids": [EXAMPLE_ID]},
    BulkDeleteIn: {"filter": {"job_id": "job_456"}, "expected_count": 1},
    BulkDeletedOut: {"count": 1, "deleted_asset_ids": [EXAMPLE_ID]},
    BulkUpdateIn: {"ids": [EXAMPLE_ID], "add_tags": ["pet"], "remove_tags": ["draft"]},
    BulkUpdatedOut: {"count": 1, "updated_asset_ids": [EXAMPLE_ID]},
    BulkRestoreIn: {"ids": [EXAMPLE_ID]},
    BulkRestoredOut: {"restored_asset_ids": [EXAMPLE_ID]},
    JobStartIn: {"workflow_id": "workflow_789", "parameters": {"steps": 20}},
    JobFinishIn: {"status": "completed"},
    RunEventsIn: _RUN_EVENT,
    RunEvents: [_RUN_EVENT],
    ReportsOut: {"runs": [{"job_id": _RUN_ID, "attempt": 1, "status": "completed"}]},
    NodeStartIn: {"node_id": "node_123"},
    NodeFinishIn: {"node_id": "node_123", "status": "failed", "error": "out of memory"},
    NodeRunOut: _NODE_RUN,
    NodePage: {"nodes": [_NODE], "next": ""},
    UploadOut: {"id": EXAMPLE_ID, "offset": 6, "length": 9, "expires_at": _TIME, "asset_id": None},
    JobOut: _JOB,
    JobPage: {"jobs": [_JOB], "next": ""},
    LaneOut: _LANE,
    TimelineOut: {"job_id": "job_456", "step": 1, "nodes": [_LANE], "truncated": False},
    EventOut: _EVENT,
    EventPage: {"events": [_EVENT], "next": ""},
    EventsOut: {"events": [_EVENT], "next": 2},
    ComparisonOut: {
        "attempt_a": 1,
        "attempt_b": 1,
        "a": "job_456",
        "b": "job_457",
        "counts": {"same": 0, "different": 0, "only_a": 1, "only_b": 0},
        "rows": [_COMPARED],
        "first_divergence": _COMPARED,
        "next": "",
    },
    LineageOut: {"root": EXAMPLE_ID, "nodes": [_ASSET], "edges": [], "truncated": False},
    UsagePage: {"group_by": "node_id", "usage": [_USAGE], "next": ""},
    ValueOut: {"value": "node_123", "count": 1},
    ValuesOut: {"field": "node_id", "values": [{"value": "node_123", "count": 1}]},
    FoundPage: {
        "assets": [{**_ASSET, "folder_name": "", "folder_path": "", "folder_id": "1"}],
        "next_cursor": "",
        "total_count": 1,
        "is_global_search": True,
    },
    ProofOut: {
        "format": "asset-ledger-proof/1",
        "checkpoint": "asset-ledger/019bd6f0a3c4\n2\n...",
        "key": "asset-ledger/019bd6f0a3c4+...",
        "rotations": [],
        "events": [{"position": 2, "leaf": "YXNzZXQtbGVkZ2Vy", "path": []}],
    },
    LedgerOut: {
        "origin": "asset-ledger/0123456789abcdef",
        "size": 3,
        "root": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "opened_at": _TIME,
        "last_recorded_at": _TIME,
        "log_bytes": 131_072,
        "events_last_minute": 3,
    },
    ConsistencyOut: {"first": 1, "second": 1, "path": []},
    ImportsOut: {"outcomes": [{"id": EXAMPLE_ID, "outcome": "recorded", "reason": None}]},
    LogKeyOut: _LOG_KEY,
    LogKeysOut: {"keys": [{**_LOG_KEY, "leaf": "YXNzZXQtbGVkZ2Vy"}]},
    CollectIn: {"apply": True, "retain_deleted": "7d"},
    CollectionOut: {
        "applied": False,
        "count": 1,
        "size": 6,
        "skipped": 0,
        "packs": 0,
        "contents": [{"digest": EXAMPLE_DIGEST, "size": 6, "reason": "deleted", "since": _TIME}],
    },
    CheckOut: {"digest": EXAMPLE_DIGEST, "size": 6, "checked_at": _TIME, "damage": None},
    RepairOut: {"digest": EXAMPLE_DIGEST, "size": 6},
    SkipIn: {"position": 17, "because": "written by a release that was withdrawn"},
    SkipOut: {"skipped": 17, "projections": ["assets", "jobs", "lineage"], "position": 42},
    SessionIn: {"token": "alt_4f6c1b2a9d3e_" + "A" * 43},
    SessionOut: {
        "auth": "tokens",
        "user_id": "alice",
        "for_user": None,
        "name": "laptop",
        "scopes": ["read", "write"],
        "expires_at": _TIME,
        "limits": {"max_upload_bytes": None},
        "version": "1.0.0",
        "origin": "asset-ledger/019bd6f0a3c4",
        "previews": ["image", "video"],
    },
    UserList: {"users": [{"user_id": "alice", "assets": 9, "bytes": 54, "tokens": 1}], "next": ""},
    PlaceholderOut: _PLACEHOLDER,
    PlaceholdersOut: {"placeholders": [_PLACEHOLDER]},
    PeaksOut: {"duration": 1.5, "peaks": [0.02, 0.87, 0.31]},
    FoldersOut: {"folder_path": [{"id": EXAMPLE_ID, "name": "renders"}]},
    TokenIn: {"user_id": "alice", "scopes": ["read", "write"], "name": "laptop"},
    TokenOut: _TOKEN,
    TokenList: {"tokens": [_TOKEN]},
    HookIn: {"url": "https://example.com/hook", "topics": ["asset.created"]},
    HookOut: _HOOK,
    HookList: {"hooks": [_HOOK]},
    NewHookOut: {**_HOOK, "secret": f"whsec_{'A' * 43}="},
    RebuildIn: {"dry_run": True},
    ProjectionsOut: _PROJECTIONS,
    DiffOut: {"compared": _DIFFERENCE},
    ReadyOut: {"ready": True, "parts": _PARTS},
    NewTokenOut: {**_TOKEN, "token": "alt_4f6c1b2a9d3e_" + "A" * 43},
}
