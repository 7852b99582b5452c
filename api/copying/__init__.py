"""Copies of a whole ledger between data folders and databases."""
