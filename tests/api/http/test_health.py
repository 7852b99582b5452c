"""Health, readiness, metrics, request ids and request logs."""

import asyncio
import logging
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from asset_ledger.api.contract.health import ReadyOut
from asset_ledger.api.logs import JsonFormatter, PlainFormatter
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.errors import PoisonEventError, StorageFailedError
from tests.api.calling import caller, serving_with_tokens
from tests.api.running import FORM, Api, form, serving
from tests.projections.packages import importable, plant

PATHS = ("/health", "/livez", "/readyz", "/metrics")


async def ready(api: Api) -> tuple[int, dict[str, Any]]:
    """Return the status of /readyz and its parts by name."""
    answer = await api.get("/readyz")
    ReadyOut.model_validate(answer.json)
    assert answer.json["ready"] == (answer.status == 200)
    return answer.status, {part["name"]: part for part in answer.json["parts"]}


async def numbers(api: Api) -> dict[str, float]:
    """Return the samples of /metrics by name and labels."""
    text = (await api.get("/metrics")).body.decode()
    return {
        _named(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _named(name: str, labels: dict[str, str]) -> str:
    pairs = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"{name.removeprefix('asset_ledger_')}{{{pairs}}}" if pairs else name[13:]


@pytest.mark.parametrize("path", PATHS)
async def test_monitoring_paths_need_no_token(path: str, data_dir: Path) -> None:
    async with serving_with_tokens(data_dir) as api:
        assert (await api.get(path)).status == 200
        assert (await api.call("HEAD", path)).body == b""


async def test_a_new_server_is_ready_and_reports_the_positions_of_its_projections(api: Api) -> None:
    await api.created()
    await api.settled()

    status, parts = await ready(api)

    assert status == 200
    assert {name.removeprefix("projection ") for name in parts} == {
        "committer",
        "disk",
        "contents",
        "log",
        "descriptors",
        "clock",
        *(["scrub"] if api.backend.engine.scrubs else []),
        *api.backend.projections.runners,
    }
    assert parts["projection tables"] == {
        "name": "projection tables",
        "ok": True,
        "reason": None,
        "position": api.head(),
        "lag": 0,
    }


async def test_a_failed_disk_makes_the_server_not_ready(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = StorageFailedError("the disk failed; read-only until a restart")
    monkeypatch.setattr(type(api.backend.committer), "failure", failure)

    status, parts = await ready(api)

    assert status == 503
    assert (parts["committer"]["ok"], parts["committer"]["reason"]) == (False, str(failure))
    assert (await api.get("/livez")).status == 200
    assert (await numbers(api))["read_only"] == 1


class Usage(NamedTuple):
    total: int
    used: int
    free: int


async def test_a_nearly_full_disk_makes_the_server_not_ready(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9 - 5, 5))

    status, parts = await ready(api)

    reason = "the disk is almost full: free some space"
    assert status == 503
    assert parts["disk"] == {"name": "disk", "ok": False, "reason": reason, "free_bytes": 5}


async def test_a_stalled_projection_reports_its_position_and_no_data_of_the_event(api: Api) -> None:
    await api.created()
    api.backend.projections.tables.error = PoisonEventError(
        2, "KeyError('a private name')", "refused by a projection"
    )

    status, parts = await ready(api)

    assert status == 503
    reason = (
        "the event at position 2 cannot be read: refused by a projection;"
        " see the server's log, then skip it or install a release that reads it"
    )
    assert parts["projection tables"]["reason"] == reason
    assert parts["projection tables"]["position"] == api.head()
    counted = await numbers(api)
    assert counted["projection_stalled{projection=tables}"] == 1
    assert (
        counted["projection_poison_position{cause=refused by a projection,projection=tables}"] == 2
    )


async def test_a_broken_installed_projection_leaves_the_server_ready(
    data_dir: Path, tmp_path: Path
) -> None:
    plant(tmp_path / "site", "import nothing_of_this_name")
    with importable(tmp_path / "site"):
        async with serving(Settings(data_dir=data_dir)) as api:
            status, parts = await ready(api)
            counted = await numbers(api)

    assert status == 200
    assert parts["projection seen"] == {
        "name": "projection seen",
        "ok": False,
        "reason": "ModuleNotFoundError: No module named 'nothing_of_this_name'",
        "position": 0,
        "lag": 1,
        "optional": True,
    }
    assert counted["projection_stalled{projection=seen}"] == 1


async def test_metrics_count_requests_by_operation_and_status(api: Api) -> None:
    asset = await api.created(b"x" * 1000)
    await api.get(f"/api/assets/{asset['id']}/content")
    await api.get("/api/assets/nonsense")
    await api.get("/nowhere")
    await api.raw(b"NONSENSE\r\n\r\n")

    counted = await numbers(api)

    assert counted["request_seconds_count{operation=create_asset,status=201}"] == 1
    assert counted["request_seconds_count{operation=get_content,status=200}"] == 1
    assert counted["request_seconds_count{operation=get_asset,status=404}"] == 1
    assert counted["request_seconds_count{operation=none,status=404}"] == 1
    assert counted["request_seconds_count{operation=none,status=400}"] == 1
    assert counted["request_seconds_bucket{le=+Inf,operation=create_asset,status=201}"] == 1
    assert counted["uploads_total"] == 1
    assert counted["received_bytes_total"] > 1000
    assert counted["sent_bytes_total"] > 1000


async def test_metrics_measure_writes_and_projections(api: Api) -> None:
    for _ in range(3):
        await api.created()
    await api.settled()

    counted = await numbers(api)

    assert counted["group_size_sum"] == 3
    assert counted["group_size_count"] == counted["commit_seconds_count"] == 3
    assert counted["group_size_bucket{le=1}"] == 3
    assert counted["commit_seconds_sum"] > 0
    assert (counted["writes_waiting"], counted["read_only"]) == (0, 0)
    assert counted["position"] == api.head()
    assert counted["projection_lag{projection=tables}"] == 0
    assert counted["process_open_fds"] > 0


async def test_metrics_are_made_once_for_clients_that_ask_together_and_again_for_a_later_one(
    api: Api,
) -> None:
    together = await asyncio.gather(*(api.get("/metrics") for _ in range(40)))
    await api.created()
    later = await numbers(api)

    assert {answer.status for answer in together} == {200}
    assert len({answer.body for answer in together}) < 10
    assert later["uploads_total"] == 1


async def test_every_answer_has_a_request_id(api: Api) -> None:
    ids = [
        (await api.get(path)).headers["X-Request-Id"]
        for path in ("/api/assets", "/api/assets", "/nowhere", "/api/jobs/none/history")
    ]
    stream = await api.session.get(f"{api.url}/api/events/stream")
    ids.append(stream.headers["X-Request-Id"])
    stream.close()
    broken = await api.raw(b"NONSENSE\r\n\r\n")
    ids += re.findall(r"X-Request-Id: (\w+)\r\n", broken.decode())

    assert len(set(ids)) == 6
    assert all(re.fullmatch(r"[0-9a-f]{16}", request_id) for request_id in ids)


async def test_a_request_id_of_the_client_is_kept(api: Api) -> None:
    answer = await api.get("/nowhere", X_Request_Id="4bf92f35-77b3")

    assert answer.headers["X-Request-Id"] == answer.json["request_id"] == "4bf92f35-77b3"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, 'a"b', "ä"])
async def test_an_invalid_request_id_of_the_client_is_not_kept(api: Api, sent: str) -> None:
    answer = await api.get("/health", X_Request_Id=sent.encode("utf-8").decode("latin-1"))

    assert answer.headers.get("X-Request-Id", sent) != sent


async def test_a_logged_request_names_user_and_operation_and_no_request_data(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with serving_with_tokens(data_dir, log_requests=True) as api:
        alice = caller(api, "alice")
        headers = {**FORM, "traceparent": trace, "X-Request-Id": "r1"}
        body = form(b"content", {"name": "secret"})
        await alice.call("POST", "/api/assets?secret=1", data=body, headers=headers)
        await alice.call("POST", "/api/assets", data=body, headers=headers)

    refused, taken = (r.__dict__["fields"] for r in caplog.records if r.message == "request")

    assert taken.pop("ms") > 0
    assert taken.pop("received") == len(body)
    assert taken.pop("sent") > 100
    assert taken == {
        "request_id": "r1",
        "traceparent": trace,
        "user": "alice",
        "operation": "create_asset",
        "method": "POST",
        "path": "/api/assets",
        "status": 201,
    }
    assert (refused["status"], refused["path"]) == (400, "/api/assets")
    assert "secret" not in caplog.text
    assert str(alice.token) not in caplog.text


async def test_requests_are_not_logged_without_the_setting(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.created()

    assert [record for record in caplog.records if record.message == "request"] == []


def record(**fields: Any) -> logging.LogRecord:
    try:
        raise ZeroDivisionError("once")
    except ZeroDivisionError as error:
        failed = (type(error), error, error.__traceback__)
    made = logging.LogRecord("api", logging.ERROR, "app.py", 1, "request %s", ("r1",), failed)
    made.fields = fields
    return made


def test_a_json_log_line_is_one_json_object() -> None:
    line = JsonFormatter().format(record(status=500, user=None))

    found = orjson.loads(line)
    assert "\n" not in line
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found.pop("time"))
    assert "ZeroDivisionError: once" in found.pop("exception")
    assert found == {
        "level": "error",
        "logger": "api",
        "message": "request r1",
        "status": 500,
        "user": None,
    }


def test_a_plain_log_line_ends_with_its_fields() -> None:
    first, *_ = PlainFormatter("%(message)s").format(record(status=500, user=None)).splitlines()

    assert first == "request r1 status=500"
