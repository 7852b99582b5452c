"""Rebuild the tables: build a new generation, compare it with the one in use, verify."""
