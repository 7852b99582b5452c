"""The keys of a log as an auditor follows them: the first from event 1, each later one from the
rotation that the key before it signed.
"""

from collections.abc import Mapping
from typing import Any

from asset_ledger.ledger.audit.stored import Stored
from asset_ledger.ledger.domain.ledger import KeyRotated, LedgerOpened, origin_line
from asset_ledger.ledger.errors import ProofError
from asset_ledger.ledger.merkle.checkpoint import Checkpoint, open_checkpoint
from asset_ledger.ledger.merkle.key import read_verifier_key
from asset_ledger.ledger.merkle.succession import check_succession


class KeyChain:
    """Which log this is, and the key in force after the events that were read so far."""

    def __init__(self) -> None:
        self.log_id = self.origin = self.in_force = ""

    def read(self, stored: Stored, said: Mapping[str, Any]) -> list[str]:
        """Go on over one event; what is wrong with it, as far as it is about keys."""
        try:
            if stored.position == 1:
                self._open(stored, said)
            elif stored.topic == LedgerOpened.TOPIC:
                raise ProofError("a log is opened by its first event alone")
            elif stored.topic == KeyRotated.TOPIC:
                self._rotate(stored, said)
        except ProofError as error:
            return [str(error)]
        except (KeyError, TypeError, AttributeError, ValueError):
            return ["does not say which key it is about"]
        return []

    def open(self, note: str) -> Checkpoint:
        """What a checkpoint says, if the key in force signed it. Raises ProofError."""
        if not self.in_force:
            raise ProofError("no event says whose signature to expect")
        return open_checkpoint(note, self.in_force)

    def _open(self, stored: Stored, said: Mapping[str, Any]) -> None:
        key, origin = said["public_key"], origin_line(said["log_id"])
        if stored.topic != LedgerOpened.TOPIC or stored.stream != said["log_id"]:
            raise ProofError("does not open this log")
        if said["origin"] != origin or read_verifier_key(key).name != origin:
            raise ProofError("names a key of another log")
        self.log_id, self.origin, self.in_force = said["log_id"], origin, key

    def _rotate(self, stored: Stored, said: Mapping[str, Any]) -> None:
        if stored.stream != self.log_id:
            raise ProofError("is in another stream than the log's own")
        check_succession(self.log_id, self.in_force, said)
        self.in_force = said["new_key"]
