"""No body that succeeds stops the event loop for longer than a tenth of a second either.

Each request names as many real assets as it may: all of them are found, read or changed.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence

import orjson
import pytest

from asset_ledger.api.contract.bulk import MAX_IDS
from asset_ledger.api.contract.imports import NDJSON
from asset_ledger.api.contract.operations import JSON
from asset_ledger.api.contract.proofs import MAX_PROVEN
from asset_ledger.ledger.commands.imports import MOST
from tests.api.http.test_uploads import BYTES, TUS
from tests.journeys.server import Server, serving
from tests.journeys.stalls import Sent, call, check_stalls

pytestmark = pytest.mark.slow

IDS: Sequence[str] = [f"{number:032x}" for number in range(MAX_IDS)]
METADATA: Mapping[str, object] = {f"key {number}": "value " * 50 for number in range(90)}
"""27 KB of the 32 KiB that an asset may have."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with 10,000 assets, each with a few bytes."""
    with serving(tmp_path_factory.mktemp("successes") / "data") as running:
        for first in range(0, MAX_IDS, MOST):
            reply = call(running, imported(IDS[first : first + MOST]))
            assert reply.status == 200, reply
        yield running


def imported(ids: Sequence[str], **fields: object) -> Sent:
    """Return an import of assets with these ids."""
    lines = []
    for asset_id in ids:
        lines.append(orjson.dumps({"id": asset_id, "name": "a.txt"} | fields))
        lines.append(orjson.dumps({"bytes": b64encode(asset_id.encode()).decode()}))
    return Sent("POST", "/api/import", {"Content-Type": NDJSON}, b"\n".join(lines))


def sent(path: str, **fields: object) -> Sent:
    return Sent("POST", path, {"Content-Type": JSON}, orjson.dumps(fields))


def test_event_loop_answers_others_beside_an_import_of_256_large_assets(server: Server) -> None:
    batches = ([f"{batch}{number:031x}" for number in range(MOST)] for batch in "abc")
    requests = [imported(ids, metadata=METADATA, tags=["t" * 100] * 10) for ids in batches]

    check_stalls(server, "import", requests, 200)


def test_event_loop_answers_others_beside_a_change_of_10_000_assets(server: Server) -> None:
    requests = [
        sent("/api/assets/bulk-update", ids=IDS, add_tags=[f"{name} {n}" for n in range(10)])
        for name in ("first", "second", "third")
    ]

    check_stalls(server, "bulk-update", requests, 200)


def test_event_loop_answers_others_beside_a_zip_of_10_000_assets(server: Server) -> None:
    requests = [sent("/api/assets/download", asset_ids=IDS)] * 3

    check_stalls(server, "zip", requests, 200)


def test_event_loop_answers_others_beside_1_000_proofs(server: Server) -> None:
    requests = [sent("/api/log/proofs", asset_ids=IDS[:MAX_PROVEN])] * 3

    check_stalls(server, "proofs", requests, 200)


def test_event_loop_answers_others_beside_bytes_of_a_resumable_upload(server: Server) -> None:
    content = bytes(32 << 20)
    declared = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": "name YQ=="}
    begun = [call(server, Sent("POST", "/api/uploads", declared, b"")) for _ in range(3)]
    headers = {**BYTES, "Upload-Offset": "0"}
    requests = [Sent("PATCH", each.headers["Location"], headers, content) for each in begun]

    check_stalls(server, "PATCH", requests, 204)
