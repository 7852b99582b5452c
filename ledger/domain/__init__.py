"""Events of assets, jobs and the ledger, their folded states, and the decisions. All pure."""
