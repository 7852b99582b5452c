"""A ledger as a workflow leaves it: two jobs, pictures, texts, versions, a deletion, a failure."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from PIL import Image

from tests.journeys.server import until

HOSTILE: Final = (
    "<img src=x onerror=\"globalThis.ran='img'\">.png",
    "\"><script>globalThis.ran='script'</script>.txt",
    "javascript:globalThis.ran='link'",
    "__proto__",
    "constructor",
    "gnp.\u202ecat.txt",
    "${globalThis.ran='template'}.txt",
    "x" * 4092 + ".txt",  # as long as a name may be
    "a ?#%2F&amp; b.txt",
    "../../jobs/it's (a) path.txt",
)
"""Names that would run, or break out of their place, where they are not taken as text."""


@dataclass(frozen=True)
class Filled:
    """The assets of the jobs "first" and "second" as they were answered, and a client."""

    client: httpx.Client
    assets: list[dict[str, Any]]
    changed: dict[str, Any]
    deleted: str

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()


def fill(client: httpx.Client) -> Filled:
    """Record both jobs. "second" differs at its third picture and fails."""
    made: list[dict[str, Any]] = []
    for job, seed in (("first", 0), ("second", 1)):
        start = {"workflow_id": "portraits", "parameters": {"seed": seed, "model": "sdxl"}}
        client.post(f"/api/jobs/{job}/start", json=start).raise_for_status()
        made += _pictures(client, job, seed)
        end = {"status": "failed", "error": "out of memory"} if seed else {"status": "completed"}
        client.post(f"/api/jobs/{job}/finish", json=end).raise_for_status()
    first = made[0]["id"]
    labels = {"tags": ["chosen"], "metadata": {"prompt": "a red fox", "steps": 30}}
    client.patch(f"/api/assets/{first}", json=labels).raise_for_status()
    changed = client.put(f"/api/assets/{made[1]['id']}/content", content=b"one\nthree\n")
    client.delete(f"/api/assets/{made[2]['id']}").raise_for_status()
    wait_for_totals(client)
    return Filled(client, made, changed.raise_for_status().json(), made[2]["id"])


def wait_for_totals(client: httpx.Client) -> None:
    """Wait until usage has every asset: its totals follow the log, and the page asks once."""
    newest = client.get("/api/events", params={"order": "desc", "limit": 1})
    position = {"min_position": newest.headers["Ledger-Position"]}
    until(lambda: client.get("/api/assets/usage", params=position).is_success, "all is counted")


def upload(client: httpx.Client, content: bytes, kind: str, fields: Mapping[str, Any]) -> Any:
    """Record one asset, and return it."""
    answer = client.post(
        "/api/assets/content", params=fields, content=content, headers={"Content-Type": kind}
    )
    return answer.raise_for_status().json()


def picture(red: int, green: int, blue: int) -> bytes:
    """Return a small PNG of one colour."""
    body = io.BytesIO()
    Image.new("RGB", (48, 32), (red, green, blue)).save(body, "PNG")
    return body.getvalue()


def _pictures(client: httpx.Client, job: str, seed: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for n in range(30):
        named = {"job_id": job, "workflow_id": "portraits", "node_id": f"node-{n % 4}"}
        sources = {"derived_from": made[-1]["id"]} if n % 4 else {}
        fields = {**named, **sources}
        if n == 1:
            fields |= {"name": "notes.txt"}
            made.append(upload(client, b"one\ntwo\n", "text/plain", fields))
        else:
            fields |= {"name": f"face-{n:02}.png"}
            colour = 7 * n, 90, 200 if seed and n == 5 else 40
            made.append(upload(client, picture(*colour), "image/png", fields))
    return made
