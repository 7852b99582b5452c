"""Names of assets may have any characters, and are never used as paths."""

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.journeys.audit import audit
from tests.journeys.client import FORM, Client, form
from tests.journeys.server import Server

ACCEPTED = [
    "../../../../etc/passwd",
    "..",
    "/absolute",
    "C:\\Windows\\system32",
    "back\\..\\slash",
    "a/b/c",
    "%2e%2e%2f",
    "'; DROP TABLE assets; --",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U00020000.png",
    "e\u0301 is not \u00e9",
    "\u202egnp.exe",
    " spaces around ",
    '"quoted".png',
    "percent % and _ underscore",
    "x" * 4_096,
    "\U0001f600" * 4_096,
]
REFUSED = ["", "a\nb", "a\r\nX-Injected: 1", "a\0b", "tab\t", "\x7f", "\x85", "x" * 4_097]


def files_outside(data_dir: Path) -> set[str]:
    """Return the names of the files beside the data folder."""
    return {path.name for path in data_dir.parent.iterdir()} - {data_dir.name}


@pytest.mark.slow
def test_accepted_names_are_returned_unchanged_and_make_no_file(
    server: Server, client: Client, data_dir: Path
) -> None:
    outside = files_outside(data_dir)
    before = set(data_dir.rglob("*"))

    for name in ACCEPTED:
        asset = client.created(b"small", name=name)
        assert asset["name"] == name
        assert client.get(f"/api/assets/{asset['id']}").json == asset
        content = client.get(asset["get_url"])
        assert (content.status, content.body) == (200, b"small")
        assert "X-Injected" not in content.headers
    for name in ACCEPTED[:-1]:  # the last is too long for a URL
        assert client.send(b"small", name=name).json["name"] == name

    assert [asset["name"] for asset in client.assets()] == [*ACCEPTED, *ACCEPTED[:-1]]
    assert files_outside(data_dir) == outside
    assert {path for path in data_dir.rglob("*") if path.suffix != ".pack"} == before
    audit(data_dir)


@pytest.mark.slow
def test_names_with_control_characters_or_wrong_length_are_refused(
    server: Server, client: Client, data_dir: Path
) -> None:
    for name in REFUSED:
        reply = client.upload(b"small", name=name)
        assert (reply.status, reply.slug) == (422, "bad-field"), name
        assert client.send(b"small", name=name).status in (400, 422), name

    assert len(audit(data_dir)) == 1


@pytest.mark.slow
def test_the_file_name_of_a_form_is_not_used_as_a_path(client: Client, data_dir: Path) -> None:
    reply = client.call("POST", "/api/assets", form(b"small", None, "../../up.sh"), FORM)

    assert reply.json["name"] in ("../../up.sh", "up.sh")
    assert not list(data_dir.parent.rglob("up.sh"))


@pytest.mark.slow
def test_job_node_and_workflow_ids_may_have_any_characters(
    server: Server, client: Client, data_dir: Path
) -> None:
    for word in ("../j", "a b", "ü/ö", "?&=#", "\U0001f600", "j" * 1_024, "0", "null"):
        asset = client.created(name="a.bin", job_id=word, node_id=word, workflow_id=word)
        for kind in ("job_id", "node_id", "workflow_id"):
            assert client.assets(**{kind: word}) == [asset]
        if word != "../j":  # in a URL path this is a parent segment
            (event,) = client.history(quote(word, safe=""))
            assert (event["asset_id"], event["job_id"]) == (asset["id"], word)
    audit(data_dir)
