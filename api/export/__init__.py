"""Exports: a job as W3C PROV, OpenLineage or an audit bundle, and a whole ledger as files."""
