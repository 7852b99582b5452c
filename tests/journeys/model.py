"""What a ledger should answer, kept in a dict: the dullest implementation that can be right."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import orjson

Doc = dict[str, Any]
"""An asset as the API shows it."""


@dataclass
class Model:
    """One user's ledger. Position 1 is the event that opens it."""

    head: int = 1
    live: dict[str, Doc] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    tombstones: dict[str, Doc] = field(default_factory=dict)
    contents: dict[str, list[bytes | None]] = field(default_factory=dict)
    origins: dict[str, Doc] = field(default_factory=dict)
    histories: dict[str, list[Doc]] = field(default_factory=dict)

    def create(self, fields: Doc, content: bytes | None, answered: Doc) -> Doc:
        """The asset that this upload makes; only its id and its time are taken on trust."""
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
            "thumb_url": _thumbnail(asset_id, fields["content_type"], digest),
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
        self.contents[asset_id] = [content]
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
            self._happened("asset.deleted", asset_id)
            self.tombstones[asset_id] = self.live.pop(asset_id)
            self.deleted[asset_id] = self.head

    def change(self, asset_id: str, changes: Doc, content: bytes | None = None) -> None:
        """New bytes first, where they are others; then the rest, where it is not so already."""
        asset, changes = self.live[asset_id], dict(changes)
        if content is not None:
            changes |= {"digest": digest_of(content), "size": len(content)}
            type_and_bytes = {name: changes.pop(name, asset[name]) for name in OF_THE_BYTES}
            if any(asset[name] != value for name, value in type_and_bytes.items()):
                asset.update(type_and_bytes, get_url=f"/api/assets/{asset_id}/content")
                self._happened("asset.content_replaced", asset_id, content)
        if any(_json(asset[name]) != _json(value) for name, value in changes.items()):
            asset.update(changes)
            self._happened("asset.described", asset_id)

    def restore(self, asset_id: str) -> list[str]:
        """A tombstone is live again, and with a folder what was deleted along with it."""
        if asset_id not in self.tombstones:
            return []
        folders, back = [asset_id], [asset_id]
        gone = {asset_id: self._restore_one(asset_id)}
        while folders:
            inside = [i for i in self.origins if self._went_with(i, folders[-1], gone)]
            gone |= {i: self._restore_one(i) for i in inside}
            back += inside
            if not inside:
                folders.pop()
            folders += [i for i in inside if self.live[i]["content_type"] == "folder"]
        return back

    def _went_with(self, asset_id: str, folder_id: str, gone: dict[str, int]) -> bool:
        tombstone = self.tombstones.get(asset_id)
        if tombstone is None or tombstone["parent_id"] != folder_id:
            return False
        return self.deleted[asset_id] > gone[folder_id]

    def _restore_one(self, asset_id: str) -> int:
        """Answers where it had been deleted."""
        self.live[asset_id] = self.tombstones.pop(asset_id)
        self._happened("asset.restored", asset_id)
        if self.live[asset_id]["parent_id"] not in (*self.live, "1"):
            self.live[asset_id]["parent_id"] = "1"
            self._happened("asset.described", asset_id)
        return self.deleted.pop(asset_id)

    def is_inside(self, asset_id: str, folder_id: str) -> bool:
        """Whether a place in this folder would be a place in the asset itself."""
        while folder_id != "1":
            if folder_id == asset_id:
                return True
            folder_id = self.live[folder_id]["parent_id"]
        return False

    def matching(self, filters: dict[str, list[str]]) -> list[Doc]:
        """The live assets that a list with these filters shows, oldest first."""
        live = self.live.values()
        return [asset for asset in live if all(_hits(asset, given) for given in filters.items())]

    def _happened(self, topic: str, asset_id: str, content: bytes | None = None) -> None:
        """One more event about an asset that is live."""
        asset, contents = self.live[asset_id], self.contents[asset_id]
        self.head += 1
        version = asset["version"] + 1
        asset["thumb_url"] = _thumbnail(asset_id, asset["content_type"], asset["digest"])
        asset.update(version=version, etag=f"v{version}", position=self.head, updated_at=None)
        contents.append(contents[-1] if content is None else content)
        self._remember(topic, asset_id, version)

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


OF_THE_BYTES = ("digest", "size", "content_type")


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch, as RFC 7396 spells it."""
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
    """Python calls 1, 1.0 and True the same."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


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


def _thumbnail(asset_id: str, content_type: str, digest: str | None) -> str | None:
    drawn = digest is not None and content_type.startswith(("image/", "video/"))
    return f"/api/assets/{asset_id}/thumbnail" if drawn else None
