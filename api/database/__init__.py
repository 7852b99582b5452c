"""A ledger in PostgreSQL: its engine, what its servers share, and its copy in a folder."""
