"""Reads of the tables: one module of queries a table.

`asset_query` checks a request for a list of assets, `asset_statements` has its SQL, `pages` what
all lists share.
"""
