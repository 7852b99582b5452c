"""Imports from a NodeTool database, and from an exported ledger."""
