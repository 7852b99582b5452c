"""Tamper evidence: RFC 6962 hashing over the facts, and the key that signs checkpoints of it."""
