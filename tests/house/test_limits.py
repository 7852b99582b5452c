"""The one table of limits agrees with the code: defaults, settings, and metrics."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from asset_ledger.api import sessions
from asset_ledger.api.contract import (
    bulk,
    download,
    editing,
    fields,
    openlineage,
    parameters,
    strict_json,
)
from asset_ledger.api.contract.imports import MAX_LINE
from asset_ledger.api.contract.proofs import MAX_PROVEN
from asset_ledger.api.hooks import sending
from asset_ledger.api.hooks.store import MAX_HOOKS
from asset_ledger.api.http import archive, connections, health, kept, metrics, protocol
from asset_ledger.api.s3 import buckets, names, objects, xml
from asset_ledger.api.s3 import uploads as s3_uploads
from asset_ledger.api.settings import Settings
from asset_ledger.api.thumbnails import cache, drawer, worker
from asset_ledger.api.uploads import resumable
from asset_ledger.api.workers import committer_process
from asset_ledger.ledger.commands.imports import MOST
from asset_ledger.ledger.commands.lineage import MAX_SOURCES
from asset_ledger.ledger.content import batches
from asset_ledger.ledger.content.objects import LONGEST
from asset_ledger.ledger.domain import checks, job
from asset_ledger.ledger.log.codec import MAX_EVENT
from asset_ledger.ledger.reading import async_replay, event_filter, replay
from asset_ledger.ledger.storage import descriptors, readers, turns
from asset_ledger.projections.queries import folders, job_list, lineage, pages, search, timeline
from tests.house.console import document, table

LIMITS: Final = {row[0]: row[1:] for row in table(document("docs/operations.md"), "limit")}
SETTINGS: Final = Settings.model_fields


def size(count: int) -> str:
    """Return a number of bytes as the table has it."""
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count % factor == 0:
            return f"{count // factor} {unit}"
    return f"{count:,} bytes"


def sizes(*counts: int) -> list[str]:
    return [size(count) for count in counts]


def seconds(count: float) -> str:
    return f"{count:g} s"


def default(name: str) -> float:
    return float(SETTINGS[name].default)


DEFAULTS: Final[Mapping[str, Sequence[str]]] = {
    "JSON body": sizes(strict_json.MAX_JSON, editing.MAX_UPDATE, download.MAX_LIST),
    "JSON without its longest text; its objects and arrays; its values": (
        size(strict_json.MAX_STRUCTURE),
        f"{strict_json.MAX_CONTAINERS:,}",
        f"{strict_json.MAX_COMMAS:,}",
    ),
    "metadata; levels of JSON; an event": (
        size(checks.MAX_METADATA),
        f"{checks.MAX_DEPTH}",
        size(MAX_EVENT),
    ),
    "errors in one answer": (f"{fields.MAX_ERRORS}",),
    "assets of a zip or a bulk change; restored at once; proven; imported": (
        f"{bulk.MAX_IDS:,}",
        f"{bulk.MAX_RESTORED}",
        f"{MAX_PROVEN:,}",
        f"{MOST}",
    ),
    "a line of an import": (size(MAX_LINE),),
    "tags of a bulk change, added and removed": (f"{bulk.MAX_TAGS}",),
    "OpenLineage: events, bytes of a request; inputs, outputs of an event; sources of an asset": (
        f"{openlineage.MAX_EVENTS}",
        size(openlineage.MAX_BODY),
        f"{openlineage.MAX_INPUTS}",
        f"{openlineage.MAX_OUTPUTS:,}",
        f"{MAX_SOURCES}",
    ),
    "spans of a timeline, of all nodes": (f"{timeline.MAX_BUCKETS:,}",),
    "events of a PROV or OpenLineage document; their bytes": (
        f"{replay.MAX_EVENTS:,}",
        size(replay.MAX_STORED),
    ),
    "S3: XML of a request, its elements; keys of a list or a deletion; buckets of a list; parts of"
    " an upload; bytes of a key": (
        size(objects.MAX_DOCUMENT),
        f"{xml.MAX_ELEMENTS:,}",
        f"{buckets.MAX_KEYS:,}",
        f"{buckets.MAX_BUCKETS:,}",
        f"{s3_uploads.MAX_PARTS:,}",
        f"{names.MAX_KEY:,}",
    ),
    "session of a browser; of one user": (
        f"{sessions.LONGEST.total_seconds() / 3600:g} h",
        f"{sessions.MOST}",
    ),
    "an upload to an object store": (f"{LONGEST.total_seconds() / 3600:g} h",),
    "webhooks; one attempt": (f"{MAX_HOOKS}", seconds(sending.TIMEOUT.total or 0)),
    "resumable uploads that lack bytes": (f"{resumable.MOST:,}",),
    "time without a byte of one": (SETTINGS["upload_lifetime"].default.replace("d", " days"),),
    "unfinished S3 uploads of one user; age": (
        f"{s3_uploads.MAX_UPLOADS:,}",
        f"{s3_uploads.LIFE // 86_400} days",
    ),
    "a write waits for its commit": (seconds(default("queue_wait")),),
    "writes under way; of one user": (f"{default('queue_size'):,.0f}",),
    "connections": (f"{default('max_connections'):,.0f}",),
    "idle connection": (seconds(default("idle_timeout")),),
    "head of a request; its first line": (
        size(protocol.MAX_HEAD),
        seconds(connections.HEAD_TIMEOUT),
        size(protocol.MAX_LINE),
    ),
    "sending a body": (
        f"{default('min_rate'):,.0f} bytes a second",
        seconds(default("stall_timeout")),
    ),
    "reading an answer": (
        f"{default('min_rate'):,.0f} bytes a second",
        seconds(default("stall_timeout")),
    ),
    "JSON bodies that arrive": (size(int(default("body_memory"))),),
    "pages and assets that may be sent again": (size(kept.MAX_BYTES),),
    "unread answers": (size(int(default("unread_memory"))),),
    "free file descriptors": (f"{health.MIN_DESCRIPTORS}", f"{descriptors.RESERVED}"),
    "token revoked; expired": (seconds(connections.RECHECK + connections.SWEEP),),
    "one read of the tables": (seconds(default("read_deadline")),),
    "slow reads (over 0.1 s) under way; of one user; waiting of one user": (
        f"{readers.SLOW} a file",
        f"{readers.EACH}",
        f"{turns.MAX_WAITING}",
    ),
    "reads of the log under way; of one user": (
        f"{async_replay.THREADS}",
        f"{async_replay.EACH}",
    ),
    "pieces of large contents in memory": sizes(batches.MEMORY, batches.LARGEST),
    "words of a search": (
        f"{search.MAX_WORDS}",
        f"{search.MAX_WORD} characters",
        f"{search.MAX_LETTERS} in all",
    ),
    "values of one filter": (f"{parameters.MAX_VALUES}",),
    "assets and edges of a lineage; bytes": (
        f"{lineage.MAX_NODES:,}",
        f"{lineage.MAX_EDGES:,}",
        size(lineage.MAX_BYTES),
    ),
    "thumbnails that are drawn; of one user; waiting of one user": (
        f"{cache.DRAWERS}",
        f"{turns.MAX_WAITING}",
    ),
    "zips and bundles that are sent; of one user; waiting of one user": (
        f"{archive.MOST}",
        f"{archive.EACH}",
        f"{turns.MAX_WAITING}",
    ),
    "time for a drawing": (
        seconds(drawer.PATIENCE),
        f"{worker.MOST_SECONDS} s of processor time",
        size(worker.MOST_MEMORY),
    ),
    "attempts of a job; their errors in an answer about it": (
        f"{job.MAX_ATTEMPTS:,}",
        f"{job_list.MAX_ERROR:,} characters",
    ),
    "folders above an asset in an answer; in a path of a search": (
        f"{folders.DEEPEST}",
        f"{search.DEEPEST}",
    ),
    "a page, or events in one answer": (f"{parameters.MAX_PAGE:,}", size(pages.MAX_BYTES)),
    "silence of the committer; while it opens its files again": (
        seconds(health.MAX_SILENCE),
        seconds(default("committer_silence")),
        seconds(committer_process.OPENING),
    ),
}
"""The numbers of each row that has some."""
WITHOUT_NUMBERS: Final = {
    "upload",
    "memory of the server",
    "requests of one user under way",
    "requests of one user",
    "time of the server for `/metrics`",
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_row_has_the_defaults_of_the_code(limit: str) -> None:
    stated = LIMITS[limit][0]

    if limit in WITHOUT_NUMBERS:
        assert not re.search(r"\d", stated)
    else:
        assert [text for text in DEFAULTS[limit] if not re.search(rf"\b{text}\b", stated)] == []


def test_constants_that_one_row_names_are_equal() -> None:
    assert bulk.MAX_IDS == download.MAX_IDS
    assert bulk.MAX_BODY == download.MAX_LIST
    assert pages.MAX_BYTES == event_filter.MAX_BYTES
    assert readers.QUICK == 0.1


def test_every_row_that_is_compared_is_in_the_table() -> None:
    assert {*DEFAULTS, *WITHOUT_NUMBERS} == {*LIMITS}


def test_settings_of_the_table_exist() -> None:
    named = {name for row in LIMITS.values() for name in re.findall(r"`(\w+)`", row[1])}

    assert named <= {*SETTINGS}
    assert {name for name in SETTINGS if name.startswith(("max_", "min_")) or "memory" in name} <= (
        named
    )


def test_every_limit_of_the_metrics_has_a_row() -> None:
    columns = " ".join(row[3] for row in LIMITS.values())

    assert {*re.findall(r"reason `(\w+)`", columns)} == {*connections.REASONS}
    assert {*re.findall(r"`([a-z-]+)`", columns)} == {*metrics.REFUSING, *connections.REASONS}
