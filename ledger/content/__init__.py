"""The bytes of assets: small ones packed, large ones in files."""
