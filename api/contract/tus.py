"""Names of tus 1.0 (https://tus.io/protocols/resumable-upload). The SDK needs no more of it."""

from typing import Final

VERSION: Final = "1.0.0"
BYTES: Final = "application/offset+octet-stream"
"""The media type of the bytes of an upload."""

RESUMABLE, LENGTH, OFFSET = "Tus-Resumable", "Upload-Length", "Upload-Offset"
METADATA, CHECKSUM, EXPIRES = "Upload-Metadata", "Upload-Checksum", "Upload-Expires"
OVERRIDE: Final = "X-HTTP-Method-Override"
ASSET: Final = "Ledger-Asset"
"""The response header with the id of the asset that an upload became."""
