"""Finished prompts of ComfyUI as jobs and assets of a ledger.

It runs in ComfyUI's environment, so it imports the standard library only, of Python 3.10 or newer.
"""

import hashlib
import json
import mimetypes
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from io import BytesIO
from typing import IO, Any, Final

ENDS: Final = {
    "execution_success": "completed",
    "execution_error": "failed",
    "execution_interrupted": "cancelled",
}
"""The status of a job by the last message of its prompt."""

PREVIEW: Final = "temp"
"""The type of a file that ComfyUI deletes when it starts."""

MOST_PARAMETERS: Final = 32 * 1024
"""Bytes of a graph that fits into the parameters of a job; a larger one becomes an asset."""

MOST_ERROR: Final = 30_000
"""Characters of an error."""

REPLACED: Final = 60.0
"""Seconds. A file that changed so long after its prompt ended is a later prompt's."""

PIECE: Final = 1 << 20
"""Bytes that are hashed at once."""

Fields = dict[str, Any]


@dataclass(frozen=True)
class OutputFile:
    """A file that a node of a prompt made: the `index`-th of this node. `kind`: ComfyUI's type.

    `cached`: the node did not run, and an earlier prompt made the file.
    """

    node_id: str
    class_type: str
    index: int
    filename: str
    subfolder: str
    kind: str
    cached: bool

    @property
    def path(self) -> str:
        """The path below the folder of its kind."""
        return f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename


@dataclass(frozen=True)
class Prompt:
    """A finished prompt. Times are in seconds since 1970; None where ComfyUI has none."""

    job_id: str
    workflow_id: str
    graph: Mapping[str, Any]
    status: str
    error: str | None
    started: float | None
    ended: float | None
    outputs: tuple[OutputFile, ...]

    @classmethod
    def of(cls, prompt_id: str, entry: Mapping[str, Any]) -> "Prompt":
        """Read an entry of ComfyUI's history. Raises ValueError if it is none."""
        try:
            _, _, graph, extra = entry["prompt"][:4]
            status = entry.get("status") or {}
            messages = dict(status.get("messages") or ())
            last = next((name for name in messages if name in ENDS), None)
            ended = messages[last] if last else {}
            return cls(
                job_id=_text(prompt_id),
                workflow_id=_workflow_id(graph, extra or {}),
                graph=graph,
                status=ENDS[last] if last else _status(status),
                error=_error(ended) if last == "execution_error" else None,
                started=_seconds(messages.get("execution_start")),
                ended=_seconds(ended),
                outputs=tuple(_outputs(entry, graph, messages)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"ComfyUI's history has it in another form: {error!r}") from error

    def start(self) -> Fields:
        """Return the fields of the start of its job."""
        graph = self.large_graph()
        digest = None if graph is None else digest_of(BytesIO(graph))
        large = {"graph": "prompt.json", "digest": digest}
        return {
            "workflow_id": self.workflow_id,
            "parameters": self.graph if graph is None else large,
            "made_at": _time(self.started),
        }

    def end(self) -> Fields:
        """Return the fields of the end of its job."""
        return {"status": self.status, "error": self.error, "made_at": _time(self.ended)}

    def large_graph(self) -> bytes | None:
        """Return the JSON of a graph that cannot be the parameters of a job, else None."""
        with suppress(ValueError):  # NaN, or a text that UTF-8 cannot encode
            text = json.dumps(self.graph, allow_nan=False, ensure_ascii=False)
            if len(text.encode()) <= MOST_PARAMETERS and "\\u0000" not in text:
                return None
        return json.dumps(self.graph).encode()

    def asset(self, output: OutputFile, modified: float | None) -> Fields:
        """Return the fields of an output's asset, without its size and digest."""
        metadata = {"class_type": output.class_type, "subfolder": output.subfolder}
        return {
            "name": output.filename,
            "content_type": mimetypes.guess_type(output.filename)[0],
            "job_id": self.job_id,
            "node_id": output.node_id,
            "workflow_id": self.workflow_id,
            "tags": ["preview"] if output.kind == PREVIEW else None,
            "metadata": {**metadata, "type": output.kind},
            "made_at": _time(self._made(output, modified)),
        }

    def graph_asset(self) -> Fields:
        """Return the fields of the asset of a large graph."""
        return {
            "name": "prompt.json",
            "content_type": "application/json",
            "job_id": self.job_id,
            "workflow_id": self.workflow_id,
            "made_at": _time(self.started),
        }

    def key(self, node_id: str, index: int, digest: str) -> str:
        """Return the Idempotency-Key of an asset."""
        parts = ["comfyui", self.job_id, node_id, index, digest]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def replaced(self, modified: float | None) -> bool:
        """Return whether a file changed after the prompt had ended."""
        if modified is None or self.ended is None:
            return False
        return modified > self.ended + REPLACED

    def _made(self, output: OutputFile, modified: float | None) -> float | None:
        """Return when an output was made: file systems and HTTP round the time of the file."""
        if modified is None:
            return self.ended
        if output.cached:
            return modified
        latest = modified if self.ended is None else min(modified, self.ended)
        return latest if self.started is None else max(latest, self.started)


def digest_of(content: IO[bytes]) -> str:
    """Return the digest of a file from its start."""
    content.seek(0)
    hashed = hashlib.sha256()
    while piece := content.read(PIECE):
        hashed.update(piece)
    return f"sha256:{hashed.hexdigest()}"


def _workflow_id(graph: Mapping[str, Any], extra: Mapping[str, Any]) -> str:
    """Return the id of the workflow in the editor, else a digest of the nodes and their links."""
    given = _within(extra, "extra_pnginfo", "workflow", "id")
    if isinstance(given, str) and given:
        return _text(given)
    links = {
        node_id: [
            node.get("class_type"),
            {name: value for name, value in _mapping(node.get("inputs")) if _is_link(value)},
        ]
        for node_id, node in graph.items()
    }
    structure = json.dumps(links, sort_keys=True).encode()
    return f"graph-{hashlib.sha256(structure).hexdigest()[:32]}"


def _within(value: Any, *names: str) -> Any:
    """Return the value at a path of names, None where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _mapping(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


def _text(value: Any) -> str:
    """Return a text that UTF-8 can encode."""
    return str(value).encode("utf-8", "replace").decode()


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and [type(each) for each in value] == [str, int]


def _status(status: Mapping[str, Any]) -> str:
    return "failed" if status.get("status_str") == "error" else "completed"


def _error(message: Mapping[str, Any]) -> str:
    traceback = message.get("traceback") or ()
    text = (
        f"node {message.get('node_id')} ({message.get('node_type')}): "
        f"{message.get('exception_type')}: {message.get('exception_message')}\n"
        f"{''.join(map(str, traceback))}"
    )
    return _text(text.replace("\0", "\N{REPLACEMENT CHARACTER}")).strip()[:MOST_ERROR]


def _seconds(message: Mapping[str, Any] | None) -> float | None:
    stamp = (message or {}).get("timestamp")
    return None if stamp is None else float(stamp) / 1_000


def _time(seconds: float | None) -> str | None:
    try:
        when = None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return None
    return None if when is None else when.isoformat(timespec="milliseconds")


def _outputs(
    entry: Mapping[str, Any], graph: Mapping[str, Any], messages: Mapping[str, Any]
) -> Iterator[OutputFile]:
    cached = _within(messages, "execution_cached", "nodes") or ()
    counts = Counter[str]()
    for node, shown in (entry.get("outputs") or {}).items():
        # A node that another one made while it ran has no place in the graph.
        node_id = node if node in graph else _display_node(entry, node)
        class_type = _text(_within(graph, node_id, "class_type"))
        for file in _files(shown):
            place = counts[node_id], _text(file["filename"]), _text(file.get("subfolder") or "")
            yield OutputFile(_text(node_id), class_type, *place, str(file["type"]), node in cached)
            counts[node_id] += 1


def _display_node(entry: Mapping[str, Any], node: str) -> str:
    return str(_within(entry, "meta", node, "display_node") or node)


def _files(shown: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the files that a node shows; not its texts, nor the files that it was given."""
    for _, values in _mapping(shown):
        for value in values if isinstance(values, list | tuple) else ():
            if not (isinstance(value, Mapping) and value.get("filename")):
                continue
            if value.get("type") in ("output", PREVIEW):
                yield value
