"""Random histories: events that a ledger could have recorded, in a possible order."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from asset_ledger.ledger.domain.asset import Asset, evolve
from asset_ledger.ledger.domain.decisions import next_version
from asset_ledger.ledger.domain.event import Event, Origin, Recorded, TaggedEvent
from asset_ledger.ledger.domain.job import JobFinished, JobStarted
from asset_ledger.ledger.domain.node import NodeEvent, RunName
from tests.builders import (
    asset_id,
    at,
    created,
    deleted,
    described,
    finished,
    node_finished,
    node_started,
    recorded,
    replaced,
    restored,
    started,
)

USERS = ("1", "2")
IDS = st.sampled_from([None, "a", "b", "c"])
TYPES = st.sampled_from(["image/png", "image/jpeg", "imagery/x", "text/plain", "Image/png"])
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
SCALAR = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
NUMBER = st.floats(0, 1e9, allow_nan=False) | st.integers(0, 10**6)
METADATA = st.none() | st.dictionaries(
    TEXT, SCALAR | st.lists(SCALAR, max_size=2) | st.dictionaries(TEXT, SCALAR, max_size=2)
)
NAMES = st.sampled_from(["same", "Same", "ä"]) | TEXT
SIZES = st.sampled_from([0, 7]) | st.integers(0, 10**12)
ATTEMPT = st.sampled_from([1, 1, 2, 3])
MADE_AT = st.sampled_from([None, at(-1_000)])
TAGS = st.lists(st.sampled_from(["t", "%"]) | TEXT, max_size=3, unique=True)


@st.composite
def births(draw: st.DrawFn, number: int) -> Event:
    """Draw the first event of the asset with this number."""
    private: dict[str, Any] = {"name": draw(NAMES)}
    private |= draw(st.fixed_dictionaries({}, optional={"tags": TAGS, "duration": NUMBER}))
    metadata, job_id = draw(METADATA), draw(IDS)
    return created(
        originator_id=asset_id(number),
        user_id=draw(st.sampled_from(USERS)),
        workflow_id=draw(IDS),
        node_id=draw(IDS),
        job_id=job_id,
        attempt=None if job_id is None else draw(ATTEMPT),
        parent_id=draw(st.sampled_from([None, asset_id(998), asset_id(999)])),
        content_type=draw(TYPES),
        size=draw(SIZES),
        made_at=draw(MADE_AT),
        private=private if metadata is None else {**private, "metadata": metadata},
    )


@st.composite
def changes(draw: st.DrawFn, asset: Asset) -> Event:
    """Draw the next event of an asset, which may be a tombstone."""
    envelope = next_version(asset, Origin(by="9", user_id=asset.user_id))
    if asset.deleted:
        return restored(**envelope)
    make: Callable[..., Event] = draw(st.sampled_from([described, replaced, deleted]))
    if make is replaced:
        return replaced(**envelope, size=draw(SIZES), content_type=draw(TYPES))
    if make is deleted:
        return deleted(**envelope)
    label = {"tags": st.none() | TAGS, "metadata": METADATA, "name": NAMES}
    optional = {**label, "duration": st.none() | NUMBER}
    private = draw(st.fixed_dictionaries({}, optional=optional))
    outer = {"content_type": TYPES, "parent_id": st.sampled_from([None, asset_id(998)])}
    return described(**envelope, private=private, **draw(st.fixed_dictionaries({}, optional=outer)))


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw events that create, change, delete and restore assets, perhaps with a tracked job."""
    assets: list[Asset] = []
    events: list[Event] = []
    for _ in range(draw(st.integers(0, 20))):
        known = draw(st.integers(0, len(assets)))
        event = draw(births(len(assets)) if known == len(assets) else changes(assets[known]))
        events.append(event)
        asset = evolve(assets[known] if known < len(assets) else None, recorded(event)[0])
        assert asset is not None
        assets[known:] = [asset, *assets[known + 1 :]]
    for number in range(draw(st.integers(0, 4))):
        place = 0
        for event in draw(node_runs(number)):
            place = draw(st.integers(place, len(events)))
            events.insert(place, event)
            place += 1  # the end of a run is after its start
    if draw(st.booleans()):
        return [*begun_only(events), *FRAMES[draw(st.sampled_from(sorted(FRAMES)))]()]
    place = 0
    for event in draw(attempts()):
        place = draw(st.integers(place, len(events)))
        events.insert(place, event)
        place += 1
    return list(begun_only(events))


def begun_only(events: list[Event]) -> Iterator[Event]:
    """Yield the events; one of an attempt that has not begun names the last one that has."""
    begun: dict[tuple[str, str], int] = {}
    known: dict[str, int] = {}
    for event in events:
        if isinstance(event, JobStarted):
            begun[event.user_id, event.job_id or ""] = event.attempt or 1
        elif isinstance(event, TaggedEvent) and event.job_id and not isinstance(event, JobFinished):
            last = begun.get((event.user_id, event.job_id), 1)
            attempt = min(event.attempt or 1, last)
            if isinstance(event, NodeEvent):  # of a stream per attempt
                attempt = known.setdefault(event.run, attempt)
                named = (event.user_id, event.job_id, attempt, event.node_id or "", event.run)
                event = replace(event, originator_id=RunName(*named).stream)
            event = replace(event, attempt=known.setdefault(event.originator_id, attempt))
        yield event


@st.composite
def attempts(draw: st.DrawFn) -> list[Event]:
    """Draw the starts and ends of up to three attempts of a job; the last one may be running."""
    user_id, job_id = draw(st.sampled_from(USERS)), draw(st.sampled_from("abc"))
    count, is_running = draw(st.integers(1, 3)), draw(st.booleans())
    events: list[Event] = []
    for number in range(1, count + 1):
        given = {"user_id": user_id, "job_id": job_id, "attempt": number}
        private = draw(st.sampled_from([{}, {"parameters": {"lr": number}}]))
        start = started(**given, private=private, workflow_id=draw(IDS))
        status = draw(st.sampled_from(["failed", "completed", "lost"]))
        end = finished(**given, status=status, made_at=draw(MADE_AT))
        for event in (start, end):
            events.append(replace(event, originator_version=len(events) + 1))
    return events[:-1] if is_running else events


@st.composite
def node_runs(draw: st.DrawFn, number: int) -> list[Event]:
    """Draw the start, the end, or both, of the run with this number."""
    given = {
        "user_id": draw(st.sampled_from(USERS)),
        "job_id": draw(st.sampled_from("abc")),
        "node_id": draw(st.sampled_from("abc")),
        "workflow_id": draw(IDS),
        "run": str(number),
        "attempt": draw(ATTEMPT),
    }
    start, parts = at(-900), draw(st.sampled_from(["start", "end", "both"]))
    end = node_finished(
        **given,
        originator_version=1 if parts == "end" else 2,
        started_at=None if parts == "end" else start,
        status=draw(st.sampled_from(["completed", "failed", "cancelled"])),
        seconds=draw(st.none() | st.floats(0, 1e8)),
        made_at=draw(st.sampled_from([None, at(-800)])),
    )
    begun: list[Event] = [] if parts == "end" else [node_started(**given, made_at=start)]
    return begun if parts == "start" else [*begun, end]


FRAMES: dict[str, Callable[[], list[Event]]] = {
    "none": list,
    "running": lambda: [started(job_id="a")],
    "finished": lambda: [started(job_id="a"), finished(job_id="a")],
    "only finished": lambda: [finished(job_id="a", originator_version=1)],
    "retried": lambda: [
        started(job_id="a", attempt=1),
        finished(job_id="a", attempt=1, status="failed", private={"error": "why"}),
        created(originator_id=asset_id(500), job_id="a"),
        started(job_id="a", attempt=2, originator_version=3, private={"parameters": {"lr": 2}}),
        created(originator_id=asset_id(501), job_id="a"),
        created(originator_id=asset_id(502), job_id="a", attempt=1),
    ],
}
"""The recorded starts and ends of job `a` of user 1, and late assets."""


def everything(events: list[Recorded]) -> dict[str, Asset]:
    """Fold the events of a log into its assets, tombstones too, in creation order."""
    assets: dict[str, Asset] = {}
    for event in events:
        asset = evolve(assets.get(event.event.originator_id), event)
        if asset is not None:
            assets[asset.id] = asset
    return assets


def live(events: list[Recorded]) -> dict[str, Asset]:
    """Fold the events of a log into its live assets, in creation order."""
    return {id: asset for id, asset in everything(events).items() if not asset.deleted}
