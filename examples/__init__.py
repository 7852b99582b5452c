"""Programs that use a ledger, each a `main()` of its own; the test suite runs them all."""
