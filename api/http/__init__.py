"""The server: it reads a request, calls the ledger or the tables, and answers."""
