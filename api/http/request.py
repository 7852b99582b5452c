"""The request class of the handlers: aiohttp's, with the caller and the parsed parameters."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from aiohttp import web

from asset_ledger.api.backend import Backend
from asset_ledger.api.contract.asset_id import read_asset_id
from asset_ledger.api.contract.parameters import Parameter, ParameterValues, refuse
from asset_ledger.api.contract.principal import Credential, Principal
from asset_ledger.api.contract.tus import RESUMABLE, VERSION
from asset_ledger.api.http.answers import POSITION
from asset_ledger.api.http.budget import Budget
from asset_ledger.api.http.connections import Connection, Connections
from asset_ledger.api.http.content_headers import BodyDigest
from asset_ledger.api.http.cors import Cors
from asset_ledger.api.http.kept import Answer, KeptAnswers, Question
from asset_ledger.api.http.metrics import RequestCounts
from asset_ledger.api.http.request_ids import REQUEST_ID
from asset_ledger.api.http.sharing import Shared
from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.proofs.live import Proofs
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.service import Ledger
from asset_ledger.ledger.storage.turns import Turns
from asset_ledger.projections.serving import Projections

if TYPE_CHECKING:
    from asset_ledger.api.http.jwt_address import KeyAddress

_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
_VERSION: Final = re.compile(r'(?:W/)?"?v([0-9]{1,18})(?:-[0-9]+)?"?')
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_NONE: Final = 0
"""A version that no asset has."""


class Request(web.BaseRequest):
    """One request. `path_values` and `parameters` are its path and query, parsed and checked.

    `max_json` is the operation's limit of a JSON body in bytes. `principal` is the caller,
    `credential` what authenticated it: by the cookie of a session if `by_session`;
    `user_id` is the owner of the assets and jobs that the request reads and writes: the caller,
    unless an admin names another user. `credit`: the seconds that the client may still stall while
    it sends the body. `checked`: when its token was checked. `is_read`: it may be cancelled.
    `question`: what a kept answer is found by; None if none may be kept.
    """

    backend: Backend
    openapi: Callable[[], bytes]
    counts: RequestCounts
    cors: Cors | None
    sign_in: Callable[[str], Awaitable[Credential | None]]
    authenticate: Callable[["Request"], Awaitable[Credential]]
    key_address: "KeyAddress | None"
    id: str
    began: float
    operation_name: str
    max_json: int
    principal: Principal
    credential: Credential
    by_session: bool = False
    user_id: str
    connection: Connection
    clients: Connections
    bodies: Budget
    scrapes: Shared[bytes]
    zips: Turns
    credit: float
    body_digest: BodyDigest | None = None
    checked: float
    is_still_allowed: Callable[["Request"], bool]
    path_values: Mapping[str, str]
    parameters: ParameterValues
    is_read: bool = False
    question: Question | None = None
    kept: KeptAnswers
    _as_of: int | None = None

    def keep(self, answer: Answer) -> None:
        """Keep an answer for the same request later."""
        if self.question is not None:
            self.kept.keep(self.question, answer)

    @property
    def ledger(self) -> Ledger:
        return self.backend.ledger

    @property
    def proofs(self) -> Proofs:
        return self.backend.proofs

    @property
    def projections(self) -> Projections:
        return self.backend.projections

    @property
    def asset_id(self) -> AssetId:
        """Return the `{id}` of the path. Raises UnknownAssetError for text that is not an id."""
        return self.asset_id_in_path("id")

    def asset_id_in_path(self, name: str) -> AssetId:
        """Return the asset id in the path. Raises UnknownAssetError for text that is not an id."""
        return read_asset_id(self.path_values[name])

    @property
    def local_port(self) -> int:
        """The port of this server that received the request; 0 once the client has gone."""
        transport = self.transport
        return transport.get_extra_info("sockname")[1] if transport is not None else 0

    @property
    def session_cookie(self) -> str:
        """The name of the session's cookie. Browsers send a cookie to every port of a host, and all
        servers of one database accept the same one."""
        backend = self.backend
        own = backend.feed.log_id if backend.sessions.is_shared else self.local_port
        return f"asset-ledger-{own}"

    @property
    def session_text(self) -> str | None:
        """The text in the cookie of a session; None without one."""
        if "Cookie" not in self.headers:
            return None
        begin = f"{self.session_cookie}="
        parts = (part.strip() for part in self.headers["Cookie"].split(";"))
        return next((part.removeprefix(begin) for part in parts if part.startswith(begin)), None)

    def call(self) -> CallContext:
        """Return the context of a write. Raises ParameterError for a malformed key or If-Match."""
        return CallContext(
            self.user_id,
            key=self._key(),
            if_match=self._if_match(),
            traceparent=self.traceparent,
            actor=self.principal.user_id,
        )

    def slot(self) -> AbstractContextManager[None]:
        """Hold a slot of the write queue. Raises BusyError if the caller has too many."""
        return self.ledger.slots.take(self.principal.user_id)

    def filters(self, known: Sequence[Parameter]) -> dict[str, Sequence[str]]:
        """Return the values of these filters in the query, by name."""
        values = self.parameters
        return {each.name: values[each.name] for each in known if each.name in values}

    async def as_of(self) -> int | None:
        """Return the position of `as_of`; None without it. Raises ParameterError."""
        as_of = self.parameters.get("as_of")
        if as_of is not None:
            self._as_of = await self.ledger.replay(Replay.position_as_of, as_of)
        return self._as_of

    @property
    def reflected(self) -> int:
        """The position of `as_of`, or the one that the tables reflect."""
        return self.projections.position if self._as_of is None else self._as_of

    def prefers(self, preference: str) -> bool:
        """Return whether `Prefer` (RFC 7240) has this preference."""
        if "Prefer" not in self.headers:
            return False
        sent = ",".join(self.headers.getall("Prefer")).lower().split(",")
        return preference in (each.partition(";")[0].strip().replace('"', "") for each in sent)

    def accepts(self, media_type: str) -> bool:
        """Return whether `Accept` has this media type."""
        if "Accept" not in self.headers:
            return False
        entries = self.headers.get("Accept", "").lower().split(",")
        return media_type in (entry.partition(";")[0].strip() for entry in entries)

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        """Add headers; aiohttp calls it before it sends a head, that of a stream too."""
        if (position := response.headers.get(POSITION)) is not None:
            self.kept.note(int(position))
        response.headers[REQUEST_ID] = self.id
        if self.by_session:  # else a shared cache may store it: it has no Authorization
            response.headers.setdefault("Cache-Control", "private")
        response.headers["X-Content-Type-Options"] = "nosniff"
        if RESUMABLE in self.headers:  # errors before the handler, too
            response.headers[RESUMABLE] = VERSION
        if self.cors is not None:
            self.cors.add_headers(self.headers, response.headers)

    def _key(self) -> str | None:
        key = self.headers.get("Idempotency-Key")
        if key is not None and not _KEY.fullmatch(key):
            raise refuse("Idempotency-Key", "must be 1 to 255 printable ASCII characters")
        return key

    def _if_match(self) -> int | None:
        """Return the version in the entity tag of If-Match; None for `*`: any version.

        A tag of another form, and `If-None-Match: *`, match no version, so the write is refused.
        """
        if self.headers.get("If-None-Match", "").strip() == "*":
            return _NONE
        header = self.headers.get("If-Match", "*").strip()
        if header == "*":
            return None
        if "," in header:
            raise refuse("If-Match", "must be one entity tag, or *")
        found = _VERSION.fullmatch(header)
        return int(found[1]) if found else _NONE

    @property
    def traceparent(self) -> str | None:
        """The `traceparent` header; None if it is malformed, as W3C Trace Context prescribes."""
        sent = self.headers.get("traceparent")
        return sent if sent is not None and _TRACEPARENT.fullmatch(sent) else None
