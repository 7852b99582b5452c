"""A job as W3C PROV-JSON: assets are entities; each attempt, and each node in it, is an activity.

The sources of an asset are entities that its node used, also if another job made them.
"""

from collections import defaultdict
from typing import Any, Final

from asset_ledger.api.export.names import ExportedAttempt, Names, attempts_of
from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.event import iso
from asset_ledger.ledger.domain.job_record import JobRecord

TERMS: Final = "urn:asset-ledger:terms:"

Document = dict[str, dict[str, Any]]


def prov_json(record: JobRecord, log_id: str) -> Document:
    """Return the PROV-JSON document of a job."""
    names = Names(log_id, record.user_id)
    document: Document = defaultdict(dict)
    document["prefix"] = {
        "al": names.namespace,
        "ledger": TERMS,
        "dcterms": "http://purl.org/dc/terms/",
    }
    for attempt in attempts_of(record):
        writer = _ProvWriter(document, names, record, attempt)
        writer.add_attempt()
        for node_id, assets in attempt.assets.items():
            writer.add_node(node_id, assets)
    return dict(document)


class _ProvWriter:
    """Adds the statements of an attempt of a job to one document."""

    def __init__(
        self, document: Document, names: Names, record: JobRecord, attempt: ExportedAttempt
    ) -> None:
        self._document, self._names, self._record = document, names, record
        self._frame, self._number = attempt.frame, attempt.number
        self._attempt = f"al:{names.job(record.job_id, attempt.number)}"
        self._owner = f"al:{names.user(record.user_id)}"

    def add_attempt(self) -> None:
        record, frame = self._record, self._frame
        self._document["agent"][self._owner] = {"ledger:user_id": record.user_id}
        self._document["activity"][self._attempt] = _given(
            {
                "prov:startTime": iso(frame.started_at) if frame and frame.started_at else None,
                "prov:endTime": iso(frame.finished_at) if frame and frame.finished_at else None,
                "ledger:job_id": record.job_id,
                "ledger:attempt": self._number,
                "ledger:status": frame.status if frame else "untracked",
                "ledger:error": frame.error if frame else None,
            }
        )
        self._relate(
            "wasAssociatedWith",
            {
                "prov:activity": self._attempt,
                "prov:agent": self._owner,
                "prov:plan": self._plan(),
            },
        )
        if frame and frame.parent_job_id:
            self._add_parent(frame.parent_job_id)

    def add_node(self, node_id: str | None, assets: list[Asset]) -> None:
        """Add a node's activity and its assets. Without a node, the attempt is the activity."""
        activity = f"al:{self._names.node(self._record.job_id, self._number, node_id)}"
        if node_id is not None:
            about = {"ledger:node_id": node_id, "dcterms:isPartOf": _reference(self._attempt)}
            self._document["activity"][activity] = about
        for asset in assets:
            self._add_asset(activity, asset)
        sources = dict.fromkeys(source for asset in assets for source in asset.derived_from)
        for source in sources:
            self._relate("used", {"prov:activity": activity, "prov:entity": self._entity(source)})

    def _plan(self) -> str | None:
        own = self._frame.workflow_id if self._frame else None
        workflow_id = own or self._record.workflow_id
        if workflow_id is None:
            return None
        name = f"al:{self._names.workflow(workflow_id)}"
        plan = {"prov:type": _reference("prov:Plan"), "ledger:workflow_id": workflow_id}
        self._document["entity"][name] = plan
        return name

    def _add_parent(self, job_id: str) -> None:
        parent = f"al:{self._names.job(job_id)}"
        self._document["activity"].setdefault(parent, {"ledger:job_id": job_id})
        self._relate("wasInformedBy", {"prov:informed": self._attempt, "prov:informant": parent})

    def _add_asset(self, activity: str, asset: Asset) -> None:
        entity = self._entity(asset.id)
        self._document["entity"][entity] = _described(asset)
        made = {"prov:entity": entity, "prov:activity": activity}
        self._relate("wasGeneratedBy", {**made, "prov:time": iso(asset.created_at)})
        self._relate("wasAttributedTo", {"prov:entity": entity, "prov:agent": self._owner})
        for source in asset.derived_from:
            derived = {"prov:generatedEntity": entity, "prov:usedEntity": self._entity(source)}
            self._relate("wasDerivedFrom", {**derived, "prov:activity": activity})
        if asset.deleted_at is not None:
            gone = {"prov:entity": entity, "prov:time": iso(asset.deleted_at)}
            self._relate("wasInvalidatedBy", gone)

    def _entity(self, asset_id: str) -> str:
        """Return the name of an asset, and declare it as an entity."""
        name = f"al:{self._names.asset(asset_id)}"
        self._document["entity"].setdefault(name, {})
        return name

    def _relate(self, kind: str, relation: dict[str, Any]) -> None:
        relations = self._document[kind]
        relations[f"_:{kind}{len(relations) + 1}"] = _given(relation)


def _described(asset: Asset) -> dict[str, Any]:
    return _given(
        {
            "prov:label": asset.name,
            "ledger:content_type": asset.content_type,
            "ledger:size": asset.size,
            "ledger:digest": asset.digest,
            "ledger:version": asset.version,
            "ledger:position": asset.position,
        }
    )


def _given(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _reference(name: str) -> dict[str, str]:
    return {"$": name, "type": "prov:QUALIFIED_NAME"}
