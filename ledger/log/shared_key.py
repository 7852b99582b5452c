"""The key that signs checkpoints, for every server of a database: the database has a copy of it.

A reader of the database can sign, as a reader of a data folder can.
"""

from pathlib import Path
from typing import Final

from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import LogReader
from asset_ledger.ledger.log.key_rotation import is_private_half, key_texts, keys_in_force
from asset_ledger.ledger.storage.database import SqlConnection
from asset_ledger.ledger.storage.files import write_durably

_STORED: Final = "SELECT pem FROM signing_keys WHERE name = 'checkpoint'"
_STORE: Final = """INSERT INTO signing_keys VALUES ('checkpoint', ?)
    ON CONFLICT (name) DO UPDATE SET pem = excluded.pem"""


def shared_keys(db: SqlConnection) -> list[bytes]:
    """Return the key that the database has, in a list; none if it has none."""
    return [bytes(pem) for (pem,) in db.execute(_STORED)]


def share_key(db: SqlConnection, log: LogReader, codec: Codec, file: Path) -> bool:
    """Write the key in force to this file, and to the database, if either has it.

    Return whether this server can sign now.
    """
    in_force = keys_in_force(log, codec)[-1].key
    stored = shared_keys(db)
    texts = (*stored, *key_texts(file))
    key = next((text for text in texts if is_private_half(text, in_force)), None)
    if key is None:
        return False
    if stored != [key]:
        db.execute(_STORE, (key,))
    if not file.is_file() or file.read_bytes() != key:
        write_durably(file, key)
    return True
