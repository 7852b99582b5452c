"""Ways into a ledger: from a NodeTool database, and from a ledger that was exported."""
