"""A request as the handlers see it: aiohttp's, with what the server made of it beforehand."""

import itertools
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from asset_ledger.api.backend import Backend
from asset_ledger.api.contract.asset_id import read_asset_id
from asset_ledger.api.contract.parameters import Asked, Parameter, refuse
from asset_ledger.api.contract.principal import Principal
from asset_ledger.api.http.cors import Cors
from asset_ledger.api.http.metrics import RequestCounts
from asset_ledger.ledger.commands.call import Call
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.proofs.live import Proofs
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.service import Ledger
from asset_ledger.projections.serving import Projections

_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
_VERSION: Final = re.compile(r'(?:W/)?"?v([0-9]{1,18})(?:-[0-9]+)?"?')
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
REQUEST_ID: Final = "X-Request-Id"
_SENT_ID: Final = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
_NONE: Final = 0
"""The version that no asset has."""


class Request(web.BaseRequest):
    """One request. `named` are the names in its path, `asked` its query, both read and checked.

    `principal` is who asks, and `user_id` whose assets and jobs this is about: the caller's own,
    unless he is an admin and names somebody else. `body_timeout` is how many seconds its body may be
    silent.
    """

    backend: Backend
    openapi: Callable[[], bytes]
    counts: RequestCounts
    cors: Cors | None
    id: str
    began: float
    operation_name: str
    principal: Principal
    user_id: str
    body_timeout: float
    named: Mapping[str, str]
    asked: Asked

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
        """The `{id}` of the path. Raises UnknownAssetError for what can be no asset's."""
        return self.id_named("id")

    def id_named(self, name: str) -> AssetId:
        """An asset's id in the path. Raises UnknownAssetError for what can be none."""
        return read_asset_id(self.named[name])

    def call(self) -> Call:
        """How this write came. Raises ParameterError for a key or an If-Match that is none."""
        return Call(
            self.user_id,
            key=self._key(),
            if_match=self._if_match(),
            traceparent=self.traceparent,
            actor=self.principal.user_id,
        )

    def filters(self, known: Sequence[Parameter]) -> dict[str, Sequence[str]]:
        """Return the values of the filters that the query has, by the name of the filter."""
        return {each.name: self.asked[each.name] for each in known if each.name in self.asked}

    async def as_of(self) -> int | None:
        """The position that `as_of` asks for; None where it does not. Raises ParameterError."""
        asked = self.asked.get("as_of")
        return None if asked is None else await self.ledger.replay(Replay.position_as_of, asked)

    def prefers(self, preference: str) -> bool:
        """Did the client ask for this with `Prefer` (RFC 7240)?"""
        if "Prefer" not in self.headers:
            return False
        asked = ",".join(self.headers.getall("Prefer")).lower().split(",")
        return preference in (each.partition(";")[0].strip().replace('"', "") for each in asked)

    def accepts(self, media_type: str) -> bool:
        """Did the client name this media type in `Accept`?"""
        named = self.headers.get("Accept", "").lower().split(",")
        return media_type in (entry.partition(";")[0].strip() for entry in named)

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        """Called by aiohttp before any head is sent, that of a stream as well."""
        response.headers[REQUEST_ID] = self.id
        if self.cors is not None:
            self.cors.tell(self.headers, response.headers)

    def _key(self) -> str | None:
        key = self.headers.get("Idempotency-Key")
        if key is not None and not _KEY.fullmatch(key):
            raise refuse("Idempotency-Key", "must be 1 to 255 printable ASCII characters")
        return key

    def _if_match(self) -> int | None:
        """The version of an entity tag of ours; the rest of it says how the asset was written.

        Another's tag is a version that no asset has. `*` asks for any: the asset has to be there.
        With `If-None-Match: *` it must not be, which no version is: it is there, or unknown.
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
        """W3C Trace Context says to go on without one that is malformed."""
        sent = self.headers.get("traceparent")
        return sent if sent is not None and _TRACEPARENT.fullmatch(sent) else None


class RequestIds:
    """Ids by which the log names requests: the one that was sent, else a new one."""

    def __init__(self) -> None:
        self._ours = secrets.token_hex(4)  # of this process
        self._numbers = itertools.count(1)

    def of(self, headers: Mapping[str, str]) -> str:
        """Return the id that a proxy or a client sent, if a line of the log can hold it."""
        sent = headers.get(REQUEST_ID)
        if sent is not None and _SENT_ID.fullmatch(sent):
            return sent
        return f"{self._ours}{next(self._numbers):08x}"
