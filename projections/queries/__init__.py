"""From request parameters to rows: filters, keyset pages, and one module of queries a table."""
