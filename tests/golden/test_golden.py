"""The stored bytes of every fact ever shipped: they are hashed, so they can never be otherwise."""

import pytest
from eventsourcing.persistence import Notification

from ledger.codec import FACTS, Codec
from ledger.fact import Fact
from tests.golden.examples import EXAMPLES, FOLDER, golden_file

by_topic = pytest.mark.parametrize("example", EXAMPLES, ids=lambda fact: fact.TOPIC)


@by_topic
def test_a_fact_encodes_to_the_bytes_it_was_first_shipped_with(example: Fact) -> None:
    assert Codec().encode(example).state == golden_file(example).read_bytes()


@by_topic
def test_the_bytes_of_old_decode_to_the_fact_of_today(example: Fact) -> None:
    stored = Notification(
        originator_id=example.originator_id,
        originator_version=example.originator_version,
        topic=example.TOPIC,
        state=golden_file(example).read_bytes(),
        id=1,
    )

    assert Codec().decode(stored).event == example


def test_every_version_of_every_fact_has_its_golden_bytes() -> None:
    shipped = {
        f"{kind.TOPIC}.v{n}.json" for kind in FACTS for n in range(1, kind.class_version + 1)
    }

    assert {file.name for file in FOLDER.iterdir()} == shipped
    assert {type(example) for example in EXAMPLES} == set(FACTS)
