"""PROV-JSON, read by another implementation."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prov import Error
from prov.model import ProvDocument, ProvRecord

from asset_ledger.api.export.prov import prov_json
from asset_ledger.ledger.domain.job_record import JobRecord
from tests.api.export.jobs import LOG_ID, PHOTO, example, retried
from tests.builders import asset_id, created, recorded, started

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def read(record: JobRecord) -> ProvDocument:
    """Return the document of a job, as the other implementation reads it."""
    return deserialized(prov_json(record, LOG_ID))


def deserialized(document: Any) -> ProvDocument:
    found = ProvDocument.deserialize(content=orjson.dumps(document).decode(), format="json")
    assert isinstance(found, ProvDocument)
    return found


def provn(document: ProvDocument) -> set[str]:
    """Return every statement, in PROV-N."""
    return {record.get_provn() for record in document.get_records(ProvRecord)}


def test_another_implementation_reads_every_statement() -> None:
    written = prov_json(example(), LOG_ID)
    statements = provn(deserialized(written))
    load, first = "al:job.job%2E4%2F5.node.load", f"al:asset.{asset_id(1)}"

    assert len(statements) == sum(len(each) for kind, each in written.items() if kind != "prefix")
    assert f"used({load}, al:asset.{PHOTO}, -)" in statements
    assert f"wasDerivedFrom({first}, al:asset.{PHOTO}, {load}, -, -)" in statements
    assert "wasInformedBy(al:job.job%2E4%2F5, al:job.above)" in statements
    assert "wasAssociatedWith(al:job.job%2E4%2F5, al:user.1, al:workflow.w)" in statements


@pytest.mark.parametrize("record", [example(), retried()])
def test_the_other_implementation_writes_and_reads_the_same_document(record: JobRecord) -> None:
    document = read(record)

    copy = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")

    assert copy == document


def test_names_are_uris_with_the_id_of_the_log() -> None:
    document = read(example())
    uris = {record.identifier.uri for record in document.get_records() if record.identifier}

    assert f"urn:asset-ledger:{LOG_ID}:1:asset.{asset_id(1)}" in uris


def test_the_other_implementation_refuses_invalid_documents() -> None:
    """So the comparison with it means something."""
    written = prov_json(example(), LOG_ID)
    for wrong in (
        {**written, "wasMadeBy": {"_:1": {}}},
        {**written, "entity": {"al:x": 7}},
    ):
        with pytest.raises((Error, ValueError)):
            provn(deserialized(wrong))


@settings(max_examples=50)
@given(TEXT, TEXT, TEXT)
def test_the_other_implementation_reads_every_statement_with_any_names(
    job_id: str, node_id: str, name: str
) -> None:
    tags = {"job_id": job_id, "workflow_id": name}
    made = created(originator_id=asset_id(1), node_id=node_id, private={"name": name}, **tags)
    record = JobRecord("1", job_id)
    record.add(recorded(started(parent_job_id=name, **tags), made))
    written = prov_json(record, LOG_ID)

    statements = [*deserialized(written).get_records()]

    assert len(statements) == sum(len(each) for kind, each in written.items() if kind != "prefix")
