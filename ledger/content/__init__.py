"""The bytes of assets: small ones packed in one SQLite file, large ones as files."""
