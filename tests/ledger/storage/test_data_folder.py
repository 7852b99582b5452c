"""The names of the files in a data folder."""

from pathlib import Path

from asset_ledger.ledger.ids import digest_of
from asset_ledger.ledger.storage.data_folder import ContentFolder, DataFolder


def test_data_folder_has_the_documented_file_names(tmp_path: Path) -> None:
    files = DataFolder(tmp_path)
    named = [files.log, files.key, files.derived, files.lock, files.unfinished_log]

    assert [str(path.relative_to(tmp_path)) for path in named] == [
        *("ledger.db", "checkpoint.key", "derived", "lock", "ledger.db.importing"),
    ]
    assert files.content.root == tmp_path / "content"


def test_content_folder_names_an_object_by_its_digest(tmp_path: Path) -> None:
    files, digest = ContentFolder(tmp_path), digest_of(b"")

    assert files.pack(1) == tmp_path / "packs" / "00000001.pack"
    assert files.arriving == tmp_path / "tmp"
    name = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert files.object(digest) == files.objects / "e3" / "b0" / name
