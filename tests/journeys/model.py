"""A model of a ledger in dicts: the expected answers of the API."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import orjson

Doc = dict[str, Any]
"""An asset as the API shows it."""


@dataclass
class Model:
    """The ledger of one user. Position 1 is `ledger.opened`."""

    head: int = 1
    live: dict[str, Doc] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    tombstones: dict[str, Doc] = field(default_factory=dict)
    contents: dict[str, list[bytes | None]] = field(default_factory=dict)
    origins: dict[str, Doc] = field(default_factory=dict)
    histories: dict[str, list[Doc]] = field(default_factory=dict)

    def create(self, fields: Doc, content: bytes | None, answered: Doc) -> Doc:
        """Create an asset. Id and time come from the answer."""
        self.head += 1
        asset_id, when = answered["id"], answered["created_at"]
        digest = None if content is None else digest_of(content)
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
            "thumb_url": _thumbnail(asset_id, 1, fields["content_type"], digest),
            "duration": fields.get("duration"),
            "node_id": fields.get("node_id"),
            "job_id": fields.get("job_id"),
            "attempt": 1 if fields.get("job_id") else None,
            "etag": "v1",
            "digest": digest,
            "version": 1,
            "position": self.head,
            "updated_at": when,
            "tags": fields.get("tags", []),
            "derived_from": fields.get("derived_from", []),
        }
        self.contents[asset_id] = [content]
        self.origins[asset_id] = fields
        self._add_to_history("asset.created", asset_id, 1)
        return self.live[asset_id]

    def family(self, asset_id: str) -> set[str]:
        """Return a live asset and everything inside it, the empty set for another asset."""
        if asset_id not in self.live:
            return set()
        children = [i for i, asset in self.live.items() if asset["parent_id"] == asset_id]
        return {asset_id}.union(*(self.family(child) for child in children))

    def delete(self, asset_ids: list[str]) -> None:
        """Delete these assets in this order."""
        for asset_id in asset_ids:
            self._record("asset.deleted", asset_id)
            self.tombstones[asset_id] = self.live.pop(asset_id)
            self.deleted[asset_id] = self.head

    def change(self, asset_id: str, changes: Doc, content: bytes | None = None) -> None:
        """Replace the bytes if they differ, then change the label if it differs."""
        asset, changes = self.live[asset_id], dict(changes)
        if content is not None:
            changes |= {"digest": digest_of(content), "size": len(content)}
            type_and_bytes = {name: changes.pop(name, asset[name]) for name in OF_THE_BYTES}
            if any(asset[name] != value for name, value in type_and_bytes.items()):
                asset.update(type_and_bytes, get_url=f"/api/assets/{asset_id}/content")
                self._record("asset.content_replaced", asset_id, content)
        if any(_json(asset[name]) != _json(value) for name, value in changes.items()):
            asset.update(changes)
            self._record("asset.described", asset_id)

    def restore(self, asset_id: str) -> list[str]:
        """Restore an asset, with a folder everything that was deleted with it. Returns the ids."""
        if asset_id not in self.tombstones:
            return []
        folders, restored = [asset_id], [asset_id]
        deleted = {asset_id: self._restore_one(asset_id)}
        while folders:
            inside = [i for i in self.origins if self._was_deleted_with(i, folders[-1], deleted)]
            deleted |= {i: self._restore_one(i) for i in inside}
            restored += inside
            if not inside:
                folders.pop()
            folders += [i for i in inside if self.live[i]["content_type"] == "folder"]
        return restored

    def _was_deleted_with(self, asset_id: str, folder_id: str, deleted: dict[str, int]) -> bool:
        tombstone = self.tombstones.get(asset_id)
        if tombstone is None or tombstone["parent_id"] != folder_id:
            return False
        return self.deleted[asset_id] > deleted[folder_id]

    def _restore_one(self, asset_id: str) -> int:
        """Restore one asset, and return the position of its deletion."""
        self.live[asset_id] = self.tombstones.pop(asset_id)
        self._record("asset.restored", asset_id)
        if self.live[asset_id]["parent_id"] not in (*self.live, "1"):
            self.live[asset_id]["parent_id"] = "1"
            self._record("asset.described", asset_id)
        return self.deleted.pop(asset_id)

    def is_inside(self, asset_id: str, folder_id: str) -> bool:
        """Return whether the folder is the asset or inside it."""
        while folder_id != "1":
            if folder_id == asset_id:
                return True
            folder_id = self.live[folder_id]["parent_id"]
        return False

    def matching(self, filters: dict[str, list[str]]) -> list[Doc]:
        """Return the live assets that match these filters, oldest first."""
        live = self.live.values()
        return [asset for asset in live if all(_hits(asset, given) for given in filters.items())]

    def _record(self, topic: str, asset_id: str, content: bytes | None = None) -> None:
        """Record one more event of a live asset."""
        asset, contents = self.live[asset_id], self.contents[asset_id]
        self.head += 1
        version = asset["version"] + 1
        asset["thumb_url"] = _thumbnail(asset_id, version, asset["content_type"], asset["digest"])
        asset.update(version=version, etag=f"v{version}", position=self.head, updated_at=None)
        contents.append(contents[-1] if content is None else content)
        self._add_to_history(topic, asset_id, version)

    def _add_to_history(self, topic: str, asset_id: str, version: int) -> None:
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
                    "attempt": 1,
                    "late": False,
                    "by": "1",
                }
            )


OF_THE_BYTES = ("digest", "size", "content_type")


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def merged(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _json(value: Any) -> bytes:
    """Encode for comparison: in Python, 1 == 1.0 == True."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _hits(asset: Doc, given: tuple[str, list[str]]) -> bool:
    name, values = given
    match name:
        case "missing":
            return any(asset[value] is None for value in values)
        case "content_type":
            return any(asset[name].startswith(value) for value in values)
        case "parent_id":
            return any(asset[name] == (value or "1") for value in values)
    return asset[name] in values


def _thumbnail(asset_id: str, version: int, content_type: str, digest: str | None) -> str | None:
    drawn = digest is not None and content_type.startswith(("image/", "video/"))
    return f"/api/assets/{asset_id}/thumbnail?version={version}" if drawn else None
