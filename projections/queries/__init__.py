"""Queries of the tables: one module for each table.

`asset_query` checks a request for a list of assets, `asset_statements` makes its SQL, and `pages`
has what all lists share.
"""
