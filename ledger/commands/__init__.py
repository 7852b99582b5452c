"""The commands of the ledger: one module for each verb."""
