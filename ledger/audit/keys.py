"""The signing keys of a log, for audits: the first from event 1, each later one from the rotation
that the key before it signed; and its tokens, each from the event that created it.
"""

from collections.abc import Mapping
from typing import Any

from asset_ledger.ledger.audit.stored import Stored
from asset_ledger.ledger.domain.ledger import (
    KeyRotated,
    LedgerOpened,
    TokenCreated,
    TokenRevoked,
    origin_line,
)
from asset_ledger.ledger.errors import ProofError
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, open_checkpoint
from asset_ledger.ledger.merkle.key import read_verifier_key
from asset_ledger.ledger.merkle.succession import check_succession


class KeyChain:
    """The log's id and origin, and the key in force after the events that were read so far."""

    def __init__(self) -> None:
        self.log_id = self.origin = self.in_force = ""
        self._tokens: set[str] = set()

    def read(self, stored: Stored, envelope: Mapping[str, Any]) -> list[str]:
        """Read the next event. Return what is wrong with its keys and tokens."""
        try:
            if stored.position == 1:
                self._open(stored, envelope)
            elif stored.topic == LedgerOpened.TOPIC:
                raise ProofError("only the first event may open a log")
            elif stored.topic == KeyRotated.TOPIC:
                self._rotate(stored, envelope)
            elif stored.topic in (TokenCreated.TOPIC, TokenRevoked.TOPIC):
                self._token(stored, envelope)
        except ProofError as error:
            return [str(error)]
        except (KeyError, TypeError, AttributeError, ValueError):
            return ["does not name its key or its token"]
        return []

    def open(self, note: str) -> Checkpoint:
        """Return a checkpoint that the key in force signed. Raises ProofError."""
        if not self.in_force:
            raise ProofError("no event names the key that must have signed it")
        return open_checkpoint(note, self.in_force)

    def _open(self, stored: Stored, envelope: Mapping[str, Any]) -> None:
        key, origin = envelope["public_key"], origin_line(envelope["log_id"])
        if stored.topic != LedgerOpened.TOPIC or stored.stream != envelope["log_id"]:
            raise ProofError("does not open this log")
        if envelope["origin"] != origin or read_verifier_key(key).name != origin:
            raise ProofError("names a key of another log")
        self.log_id, self.origin, self.in_force = envelope["log_id"], origin, key

    def _rotate(self, stored: Stored, envelope: Mapping[str, Any]) -> None:
        if stored.stream != self.log_id:
            raise ProofError("is not in the log's own stream")
        check_succession(self.log_id, self.in_force, envelope)
        self.in_force = envelope["new_key"]

    def _token(self, stored: Stored, envelope: Mapping[str, Any]) -> None:
        token_id = envelope["token_id"]
        if stored.stream != self.log_id:
            raise ProofError("is not in the log's own stream")
        if (token_id in self._tokens) == (stored.topic == TokenCreated.TOPIC):
            raise ProofError("creates a token twice, or revokes one that no event created")
        self._tokens.add(token_id)
