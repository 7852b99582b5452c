"""Tamper evidence: the Merkle tree over the events (RFC 6962), and the keys that sign it."""
