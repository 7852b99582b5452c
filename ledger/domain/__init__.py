"""Events of assets, jobs and the ledger; the states they fold into; the decisions. All pure."""
