"""`asset-ledger import nodetool`: the assets of a NodeTool database."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from asset_ledger import sync
from asset_ledger.api.imports.errors import SourceError
from tests.api.imports.nodetool import (
    NEWER_COLUMNS,
    NodeTool,
    asset_id,
    assets_in,
    content_of,
)
from tests.builders import short

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def nodetool(tmp_path: Path) -> NodeTool:
    return NodeTool(tmp_path)


def summary(
    rows: int, added: int = 0, known: int = 0, refused: int = 0, filled: int = 0, without: int = 0
) -> str:
    return (
        f"{rows} rows: {added} added, {known} already known, {refused} not imported; "
        f"{filled} received their content, {without} have no content"
    )


def test_an_imported_asset_keeps_its_id_time_tags_and_content(
    nodetool: NodeTool, data_dir: Path
) -> None:
    made_by = {"workflow_id": "w", "node_id": "n", "job_id": "j"}
    identity = nodetool.row(
        7, b"bytes", **made_by, metadata='{"a": [1]}', duration=1.5, created_at="2024-05-01 12:00Z"
    )

    assert nodetool.imported(data_dir) == [summary(1, added=1)]

    asset = assets_in(data_dir)[identity]
    assert (asset.name, asset.content_type, asset.size) == ("7.png", "image/png", 5)
    assert (asset.workflow_id, asset.node_id, asset.job_id) == ("w", "n", "j")
    assert (asset.created_at, asset.metadata, asset.duration) == (NOON, {"a": [1]}, 1.5)
    assert content_of(data_dir, identity) == b"bytes"


def test_a_database_without_the_newer_columns_is_imported(tmp_path: Path, data_dir: Path) -> None:
    nodetool = NodeTool(tmp_path, without=NEWER_COLUMNS)
    nodetool.row(1)

    assert nodetool.imported(data_dir) == [summary(1, added=1)]
    assert assets_in(data_dir)[asset_id(1)].job_id is None


def test_folders_are_imported_before_their_assets_in_any_order_of_rows(
    nodetool: NodeTool, data_dir: Path
) -> None:
    nodetool.row(1, parent_id=asset_id(2))
    nodetool.folder(2, parent_id=asset_id(3))
    nodetool.folder(3, parent_id=asset_id(4))
    nodetool.folder(4, parent_id=None)
    nodetool.row(5, parent_id="")

    assert nodetool.imported(data_dir) == [summary(5, added=5)]

    parents = {asset.id: asset.parent_id for asset in assets_in(data_dir).values()}
    expected = {1: asset_id(2), 2: asset_id(3), 3: asset_id(4), 4: "1", 5: "1"}
    assert parents == {asset_id(number): parent for number, parent in expected.items()}


def test_assets_of_two_users_stay_apart(nodetool: NodeTool, data_dir: Path) -> None:
    nodetool.row(1, user_id="alice", parent_id="alice")
    nodetool.folder(2)
    nodetool.row(3, user_id="alice", parent_id=asset_id(2))

    (note, _) = nodetool.imported(data_dir)

    assert note.startswith(f"{asset_id(3)}: its folder")
    assert set(assets_in(data_dir)) == {asset_id(2)}
    assert {a.parent_id for a in assets_in(data_dir, "alice").values()} == {"alice"}


def test_imported_assets_are_listed_in_order_of_their_creation(
    nodetool: NodeTool, data_dir: Path
) -> None:
    for number in (9, 2, 5):
        nodetool.row(number)

    nodetool.imported(data_dir)

    assert list(assets_in(data_dir)) == [asset_id(2), asset_id(5), asset_id(9)]


def test_a_second_import_adds_only_new_assets(nodetool: NodeTool, data_dir: Path) -> None:
    nodetool.folder(1)
    nodetool.row(2, parent_id=asset_id(1))
    nodetool.imported(data_dir)
    nodetool.row(3, parent_id=asset_id(1))
    nodetool.run("UPDATE nodetool_assets SET name = 'other' WHERE name = '2.png'")

    assert nodetool.imported(data_dir) == [summary(3, added=1, known=2)]
    assert nodetool.imported(data_dir) == [summary(3, known=3)]

    assert assets_in(data_dir)[asset_id(2)].name == "2.png"


def test_a_second_import_does_not_restore_deleted_assets(
    nodetool: NodeTool, data_dir: Path
) -> None:
    nodetool.row(1)
    nodetool.imported(data_dir)
    with sync.connect(data_dir=data_dir):
        sync.Asset.get(asset_id(1)).delete()

    assert nodetool.imported(data_dir) == [summary(1, known=1)]
    assert assets_in(data_dir) == {}


def test_an_asset_without_content_is_reported_and_filled_later(
    nodetool: NodeTool, data_dir: Path
) -> None:
    identity = nodetool.row(1, None)
    note = f"{identity}: has no content: its file is missing"

    assert nodetool.imported(data_dir, code=1) == [note, summary(1, added=1, without=1)]
    assert assets_in(data_dir)[identity].digest is None
    assert nodetool.imported(data_dir, code=1)[-1] == summary(1, known=1, without=1)

    (nodetool.assets / f"{identity}.png").write_bytes(b"late")
    assert nodetool.imported(data_dir) == [summary(1, filled=1)]
    assert content_of(data_dir, identity) == b"late"


def test_an_empty_file_is_imported_as_content(nodetool: NodeTool, data_dir: Path) -> None:
    identity = nodetool.row(1, b"")

    assert nodetool.imported(data_dir) == [summary(1, added=1)]
    assert content_of(data_dir, identity) == b""


def test_the_file_that_fits_the_content_type_is_imported(
    nodetool: NodeTool, data_dir: Path
) -> None:
    identity = nodetool.row(1, b"picture")
    (nodetool.assets / f"{identity}.mp3").write_bytes(b"of an older type")
    (nodetool.assets / f"{identity}_thumb.jpg").write_bytes(b"a thumbnail")

    nodetool.imported(data_dir)

    assert content_of(data_dir, identity) == b"picture"


def test_a_symbolic_link_is_not_followed(nodetool: NodeTool, data_dir: Path) -> None:
    identity = nodetool.row(1, None)
    secret = nodetool.db.with_name("secret")
    secret.write_text("secret")
    (nodetool.assets / f"{identity}.png").symlink_to(secret)

    note, last = nodetool.imported(data_dir, code=1)

    assert "is a link, or cannot be read" in note
    assert last == summary(1, added=1, without=1)


@pytest.mark.parametrize("layout", ["1/{id}.png", "1/{id}", "{id}.png", "{dashed}.png"])
def test_contents_of_every_layout_are_imported(
    nodetool: NodeTool, data_dir: Path, layout: str
) -> None:
    identity = nodetool.row(1, None)
    (nodetool.assets / "1").mkdir()
    path = nodetool.assets / layout.format(id=identity, dashed=UUID(identity))
    path.write_bytes(b"bytes")

    assert nodetool.imported(data_dir) == [summary(1, added=1)]
    assert content_of(data_dir, identity) == b"bytes"


def test_the_file_in_the_folder_of_the_owner_is_imported(
    nodetool: NodeTool, data_dir: Path
) -> None:
    identity = nodetool.row(1, b"of the owner")
    (nodetool.assets / f"{identity}.png").write_bytes(b"of an older version")
    (nodetool.assets / "2").mkdir()
    (nodetool.assets / "2" / f"{identity}.png").write_bytes(b"of another user")

    nodetool.imported(data_dir)

    assert content_of(data_dir, identity) == b"of the owner"


@pytest.mark.parametrize("user_id", ["2", "..", ".", "1/../2", "link", "file"])
def test_a_file_below_another_folder_is_not_imported(
    nodetool: NodeTool, data_dir: Path, user_id: str
) -> None:
    identity = nodetool.row(1, None, user_id=user_id)
    (nodetool.assets / "1").mkdir()
    (nodetool.assets / "1" / f"{identity}.png").write_bytes(b"of another user")
    (nodetool.assets.parent / f"{identity}.png").write_bytes(b"outside")
    (nodetool.assets / "link").symlink_to("1")
    (nodetool.assets / "file").write_bytes(b"no folder")

    assert nodetool.imported(data_dir, code=1)[-1] == summary(1, added=1, without=1)


def test_files_outside_of_the_folder_are_imported_if_the_user_says_so(
    nodetool: NodeTool, data_dir: Path
) -> None:
    video, link = nodetool.db.with_name("long video.mp4"), nodetool.db.with_name("link")
    video.write_bytes(b"frames")
    link.symlink_to(video)
    for number, path in enumerate((video, link), 1):
        nodetool.row(number, None, external_path=str(path))
    nodetool.row(3, b"own", external_path=str(video))

    *notes, last = nodetool.imported(data_dir, code=1)
    assert [note.partition(": ")[2] for note in notes] == [
        f"has no content: its file lies outside of the folder, at '{path}': add --follow-external"
        for path in (video, link)
    ]
    assert last == summary(3, added=3, without=2)
    assert nodetool.imported(data_dir, "--follow-external") == [summary(3, known=1, filled=2)]
    contents = [content_of(data_dir, asset_id(number)) for number in (1, 2, 3)]
    assert contents == [b"frames", b"frames", b"own"]


@pytest.mark.parametrize("path", ["missing", "{folder}/missing", "{folder}", "/dev/null", "a\0b"])
def test_an_external_path_without_a_file_is_reported(
    nodetool: NodeTool, data_dir: Path, path: str
) -> None:
    nodetool.row(1, None, external_path=path.format(folder=nodetool.assets))

    note, last = nodetool.imported(data_dir, "--follow-external", code=1)

    assert "has no content: its file" in note
    assert "is missing, or cannot be read" in note
    assert last == summary(1, added=1, without=1)


SUMMER, WINTER = "2024-07-01T12:00:00.123456", "2024-01-01 12:00:00"


@pytest.mark.parametrize(
    ("zone", "summer", "winter"),
    [("Europe/Berlin", 10, 11), ("America/New_York", 16, 17), ("UTC", 12, 12)],
)
@pytest.mark.parametrize("given", ["option", "host"])
def test_times_without_a_zone_are_local(
    nodetool: NodeTool,
    data_dir: Path,
    zone: str,
    summer: int,
    winter: int,
    given: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodetool.row(1, created_at=SUMMER)
    nodetool.row(2, created_at=WINTER)
    nodetool.row(3, created_at="2024-07-01T12:00:00.000Z")
    nodetool.row(4, created_at="2024-07-01T12:00:00+02:00")
    nodetool.row(5, created_at=1_719_835_200)
    monkeypatch.setenv("TZ", zone if given == "host" else "Asia/Tokyo")
    time.tzset()
    try:
        first, last = nodetool.imported(data_dir, *(["--timezone", zone] * (given == "option")))
    finally:
        monkeypatch.undo()
        time.tzset()

    hours = [assets_in(data_dir)[asset_id(number)].created_at.hour for number in range(1, 6)]
    assert hours == [summer, winter, 12, 10, 12]
    assert first.startswith("2 times without a zone are in ")
    assert zone in first or given == "host"
    assert last == summary(5, added=5)


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../../etc/passwd", "a\0b", "/etc/localtime"])
def test_an_unknown_timezone_is_refused(nodetool: NodeTool, data_dir: Path, zone: str) -> None:
    refused = nodetool.run_import(data_dir, "--timezone", zone)

    assert refused.exit_code == 2
    assert "--timezone" in refused.output
    assert not data_dir.exists()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"metadata": "{"}, "metadata is left out"),
        ({"metadata": "[1]"}, "metadata is left out"),
        ({"metadata": '{"a": 123456789012345678901234}'}, "metadata is left out"),
        ({"metadata": '{"a": "\\u0000"}'}, "metadata is left out"),
        ({"metadata": json.dumps({"a": "x" * 40_000})}, "metadata is left out"),
        ({"metadata": b"\xff\xfe"}, "metadata is left out"),
        ({"name": "a\nb\x00"}, "its name was changed: 'a\\nb\\x00'"),
        ({"name": "n" * 5_000}, "its name was changed"),
        ({"name": None}, "its name was changed: ''"),
        ({"name": b"\xff.png"}, "its name was changed: '\\udcff.png'"),
        ({"content_type": "picture"}, "content_type is left out"),
        ({"created_at": "yesterday"}, "made_at is left out"),
        ({"created_at": 1e30}, "made_at is left out"),
        ({"duration": -1.0}, "duration is left out"),
        ({"duration": "long"}, "duration is left out"),
        ({"job_id": "a\nb"}, "job_id is left out"),
        ({"node_id": "n" * 5_000}, "node_id is left out"),
        ({"parent_id": "f" * 32}, f"its folder '{'f' * 32}' is missing: it moves to the top"),
        ({"parent_id": "\x00'; DROP"}, "is missing: it moves to the top"),
        ({"parent_id": asset_id(1)}, "is missing: it moves to the top"),
    ],
    ids=short,
)
def test_an_invalid_value_is_reported_and_its_row_is_imported(
    nodetool: NodeTool, data_dir: Path, fields: dict[str, Any], reason: str
) -> None:
    nodetool.row(1)
    nodetool.row(2, **fields)

    (line, last) = nodetool.imported(data_dir)

    assert line.startswith(f"{asset_id(2)}: ")
    assert reason in line
    assert last == summary(2, added=2)
    assert content_of(data_dir, asset_id(2)) == b"content"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": "../../etc/passwd"}, "its id '../../etc/passwd' is not 32 hex digits"),
        ({"id": None}, "its id '' is not 32 hex digits"),
        ({"user_id": None}, "its user_id must be 1 to 255"),
        ({"user_id": "system"}, "its user_id cannot be 'system'"),
    ],
    ids=short,
)
def test_an_invalid_row_is_reported_and_the_others_are_imported(
    nodetool: NodeTool, data_dir: Path, fields: dict[str, Any], reason: str
) -> None:
    nodetool.rows({2: fields})
    nodetool.row(1)

    (line, last) = nodetool.imported(data_dir, code=1)

    assert f"is not imported: {reason}" in line
    assert last == summary(2, added=1, refused=1)


@pytest.mark.parametrize("name", ["../../x.png", "😀 名前.png", "a/b\\c", ".", "%s'\"; DROP"])
def test_an_unusual_name_is_kept(nodetool: NodeTool, data_dir: Path, name: str) -> None:
    nodetool.row(1, name=name, metadata=json.dumps({"emoji": "😀"}))

    assert nodetool.imported(data_dir) == [summary(1, added=1)]
    assert assets_in(data_dir)[asset_id(1)].name == name


def test_a_cycle_of_folders_is_cut_where_it_closes(nodetool: NodeTool, data_dir: Path) -> None:
    for number, parent in ((1, 2), (2, 3), (3, 1), (4, 4)):
        nodetool.folder(number, parent_id=asset_id(parent))
    nodetool.row(5, parent_id=asset_id(2))

    *notes, last = nodetool.imported(data_dir)

    assert notes == [
        f"{asset_id(3)}: its folder lies inside of it: it moves to the top",
        f"{asset_id(4)}: its folder lies inside of it: it moves to the top",
    ]
    assert last == summary(5, added=5)
    parents = {asset.id: asset.parent_id for asset in assets_in(data_dir).values()}
    assert parents[asset_id(1)] == asset_id(2)
    assert parents[asset_id(5)] == asset_id(2)


def test_ids_with_and_without_dashes_are_equal(nodetool: NodeTool, data_dir: Path) -> None:
    nodetool.row(1, id="0190F3C0-0000-7000-8000-0000000000AB")
    nodetool.rows({2: {"id": "0190f3c000007000800000000000 00ab".replace(" ", "")}})

    lines = nodetool.imported(data_dir)

    assert lines == [
        "1 rows repeat the id of another row: only the first is imported",
        summary(2, added=1, known=1),
    ]
    assert set(assets_in(data_dir)) == {"0190f3c00000700080000000000000ab"}


def test_a_dry_run_records_nothing_and_reports_the_outcome(
    nodetool: NodeTool, data_dir: Path
) -> None:
    nodetool.row(1)
    nodetool.row(2, None, metadata="{")

    *notes, last = nodetool.imported(data_dir, "--dry-run", code=1)

    assert [line.partition(": ")[2][:14] for line in notes] == ["metadata is le", "has no content"]
    assert last.startswith("2 rows: 2 would be added, 0 already known")
    assert not data_dir.exists()


def test_json_prints_notes_and_counts_as_objects(nodetool: NodeTool, data_dir: Path) -> None:
    nodetool.row(1, name="")

    note, counts = map(json.loads, nodetool.imported(data_dir, "--json"))

    assert note["id"] == asset_id(1)
    assert (counts["rows"], counts["recorded"]) == (1, 1)


@pytest.mark.parametrize(
    "text", ["CREATE TABLE other (a)", "CREATE TABLE nodetool_assets (id, name)", None]
)
def test_a_file_without_the_nodetool_table_is_refused(
    tmp_path: Path, data_dir: Path, text: str | None
) -> None:
    nodetool = NodeTool(tmp_path)
    if text is None:
        nodetool.db.write_bytes(b"no database at all" * 100)
    else:
        nodetool.run("DROP TABLE nodetool_assets")
        nodetool.run(text)

    refused = nodetool.run_import(data_dir).exception

    assert isinstance(refused, SourceError)
    assert str(nodetool.db) in str(refused)
    assert not data_dir.exists()


def test_a_large_content_is_imported_completely(nodetool: NodeTool, data_dir: Path) -> None:
    content = bytes(range(256)) * 8_192
    identity = nodetool.row(1, content)

    nodetool.imported(data_dir)

    assert content_of(data_dir, identity) == content
