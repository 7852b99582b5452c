"""Large contents and backups in Azure Blob Storage, as Azurite serves it, and in Google Cloud
Storage, as SeaweedFS serves the XML interface that the two share."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from asset_ledger.ledger.storage.object_store import ObjectReader
from tests.azure import CONTAINER, serving_azure
from tests.contracts.content_store import ContentStoreContract, StoreFactory
from tests.environment import set_only
from tests.gcs import BUCKET, serving_gcs
from tests.journeys.audit import events_in
from tests.journeys.client import talking
from tests.journeys.server import run, serving
from tests.ledger.content.test_objects import open_store

pytestmark = pytest.mark.slow

MIB = 1 << 20
RANDOM = Random("azure")


@pytest.fixture(scope="module", params=["az", "gs"])
def bucket(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Start a server, with its credentials in the environment; yield the URL of its bucket."""
    place, scheme = tmp_path_factory.mktemp("store"), request.param
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        if scheme == "az":
            azure = stack.enter_context(serving_azure(place))
            set_only(patch, "AZURE_", azure.environment)
            yield f"az://{CONTAINER}"
        else:
            gcs = stack.enter_context(serving_gcs(place))
            set_only(patch, "GOOGLE_", gcs.environment)
            set_only(patch, "AWS_", {"AWS_ENDPOINT_URL": gcs.endpoint})  # allows plain http
            yield f"gs://{BUCKET}"
            assert any("uploadId=" in each for each in gcs.requests)


class TestObjects(ContentStoreContract):
    @pytest.fixture
    def store_factory(self, bucket: str, tmp_path: Path) -> StoreFactory:
        url = f"{bucket}/contract/{tmp_path.name}"
        return lambda: open_store(tmp_path / "content", url)


def test_contents_are_served_backed_up_restored_and_collected(
    bucket: str, data_dir: Path, tmp_path: Path
) -> None:
    flags = ("--content-url", f"{bucket}/served", "--retain-deleted", "0")
    backup, copy = f"{bucket}/backups", tmp_path / "copy"
    contents = [RANDOM.randbytes(size) for size in (100, 70_000, 20 * MIB)]
    with serving(data_dir, *flags) as server, talking(server.port) as client:
        made = [client.created(content, name="a.bin", job_id="j") for content in contents]
        for asset, content in zip(made, contents, strict=True):
            assert client.get(asset["get_url"]).body == content
            part = client.get(asset["get_url"], Range="bytes=50-99")
            assert (part.status, part.body) == (206, content[50:100])

        created = run("backup", "create", backup, "--data-dir", data_dir, "--json")
        assert json.loads(created.stdout)["contents"] == 3, created.stderr
        done = run("backup", "restore", backup, "--data-dir", copy)
        assert done.returncode == 0, done.stdout + done.stderr
        assert events_in(copy) == events_in(data_dir)

        assert client.delete(f"/api/assets/{made[2]['id']}?purge=true").status == 200
        assert client.get(made[2]["get_url"]).json["type"].endswith("content-collected")
        assert client.get(made[1]["get_url"]).body == contents[1]
    done = run("verify", "--data-dir", data_dir)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_bucket_is_a_problem_in_one_line(bucket: str, data_dir: Path) -> None:
    absent = f"{urlsplit(bucket).scheme}://absent"
    with pytest.raises(FileNotFoundError):
        ObjectReader().size(f"{absent}/objects/a")
    done = run("backup", "create", f"{absent}/backups", "--data-dir", data_dir)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
