"""The request and response models of collection, and how long contents are retained."""

from typing import Annotated, Any, Literal

from pydantic import Field

from asset_ledger.api.contract.durations import read_duration, read_versions
from asset_ledger.api.contract.fields import StrictModel
from asset_ledger.api.contract.shapes import AnswerModel, Time
from asset_ledger.ledger.commands.collect import Collected
from asset_ledger.ledger.commands.collection_plan import CollectionPlan, Retention


class CollectIn(StrictModel):
    """Whether to collect, or only to plan; and, for this request, how long to retain contents."""

    apply: Annotated[bool, Field(description="Collect; else only list what would go.")] = False
    retain_versions: Annotated[str | None, Field(description="As the setting.")] = None
    retain_deleted: Annotated[str | None, Field(description="As the setting.")] = None


class CollectableOut(AnswerModel):
    """A content that can be collected."""

    digest: str
    size: int
    reason: Literal["deleted", "superseded", "unrecorded"]
    since: Time | None


class CollectionOut(AnswerModel):
    """What would be collected, or was. `contents`: the first 1,000, the oldest first."""

    applied: bool
    count: int
    size: Annotated[int, Field(description="Bytes of all together.")]
    skipped: Annotated[int, Field(description="Contents that were needed again meanwhile.")]
    packs: Annotated[int, Field(description="Packs that were rewritten.")]
    contents: list[CollectableOut]


def plan_out(plan: CollectionPlan) -> dict[str, Any]:
    """Return the document of a plan."""
    listed = [
        {"digest": each.digest, "size": each.size, "reason": each.reason, "since": each.since}
        for each in plan.contents
    ]
    return _document(False, *plan.sizes["collectable"], 0, 0, listed)


def collected_out(done: Collected) -> dict[str, Any]:
    """Return the document of a collection."""
    return _document(True, done.contents, done.size, done.skipped, done.packs, [])


def _document(
    applied: bool, count: int, size: int, skipped: int, packs: int, listed: list[Any]
) -> dict[str, Any]:
    return {
        "applied": applied,
        "count": count,
        "size": size,
        "skipped": skipped,
        "packs": packs,
        "contents": listed,
    }


def read_retention(versions: str, deleted: str) -> Retention:
    """Return how long contents are retained. Raises ValueError."""
    return Retention(read_versions(versions), read_duration(deleted))
