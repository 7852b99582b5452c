"""Tamper evidence: RFC 6962 hashing over the events, and the key that signs checkpoints of it."""
