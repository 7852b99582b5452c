"""The HTTP server: read a request, call the ledger or query the tables, answer."""
