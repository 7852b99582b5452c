"""What a ledger should answer, kept in a dict: the dullest implementation that can be right."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

Doc = dict[str, Any]
"""An asset as the API shows it."""


@dataclass
class Model:
    """One user's ledger. Position 1 is the fact that opens it."""

    head: int = 1
    live: dict[str, Doc] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    origins: dict[str, Doc] = field(default_factory=dict)
    histories: dict[str, list[Doc]] = field(default_factory=dict)

    def create(self, fields: Doc, content: bytes | None, answered: Doc) -> Doc:
        """The asset that this upload makes; only its id and its time are taken on trust."""
        self.head += 1
        asset_id, when = answered["id"], answered["created_at"]
        digest = None if content is None else f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.live[asset_id] = {
            "id": asset_id,
            "user_id": "1",
            "workflow_id": fields.get("workflow_id"),
            "parent_id": fields.get("parent_id", "1"),
            "name": fields["name"],
            "content_type": fields["content_type"],
            "size": len(content or b""),
            "metadata": fields.get("metadata"),
            "created_at": when,
            "get_url": None if content is None else f"/api/assets/{asset_id}/content",
            "thumb_url": None,
            "duration": fields.get("duration"),
            "node_id": fields.get("node_id"),
            "job_id": fields.get("job_id"),
            "etag": "v1",
            "digest": digest,
            "version": 1,
            "position": self.head,
            "updated_at": when,
            "tags": fields.get("tags", []),
            "derived_from": fields.get("derived_from", []),
        }
        if content is not None:
            self.contents[asset_id] = content
        self.origins[asset_id] = fields
        self._remember("asset.created", asset_id, 1)
        return self.live[asset_id]

    def family(self, asset_id: str) -> set[str]:
        """An asset that is live, and all that is in it."""
        if asset_id not in self.live:
            return set()
        children = [i for i, asset in self.live.items() if asset["parent_id"] == asset_id]
        return {asset_id}.union(*(self.family(child) for child in children))

    def delete(self, asset_ids: list[str]) -> None:
        """These become tombstones, in this order."""
        for asset_id in asset_ids:
            self.head += 1
            self.live.pop(asset_id)
            self.deleted[asset_id] = self.head
            self._remember("asset.deleted", asset_id, 2)

    def matching(self, filters: dict[str, list[str]]) -> list[Doc]:
        """The live assets that a list with these filters shows, oldest first."""
        live = self.live.values()
        return [asset for asset in live if all(_hits(asset, given) for given in filters.items())]

    def _remember(self, topic: str, asset_id: str, version: int) -> None:
        job_id = self.origins[asset_id].get("job_id")
        if job_id is not None:
            history = self.histories.setdefault(job_id, [])
            history.append(
                {
                    "topic": topic,
                    "asset_id": asset_id,
                    "version": version,
                    "position": self.head,
                    "job_id": job_id,
                    "job_seq": len(history) + 1,
                    "by": "1",
                }
            )


def _hits(asset: Doc, given: tuple[str, list[str]]) -> bool:
    word, values = given
    match word:
        case "missing":
            return any(asset[value] is None for value in values)
        case "content_type":
            return any(asset[word].startswith(value) for value in values)
        case "parent_id":
            return any(asset[word] == (value or "1") for value in values)
    return asset[word] in values
