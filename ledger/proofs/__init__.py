"""Signed checkpoints and Merkle proofs, from a running server or from a data folder."""
