"""Projections, the tables they fill, and the queries that read the tables.

It imports events, ids and the feed of `ledger`, never the committer or the log.
"""
