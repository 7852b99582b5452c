"""Backups of a data folder, and their restore."""
