"""Example programs that use a ledger. The test suite runs them all."""
