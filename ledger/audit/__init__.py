"""The audit of a log and its contents by `verify`, which trusts nothing but the stored bytes."""
