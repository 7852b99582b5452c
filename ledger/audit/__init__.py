"""What `verify` does to a log and its contents: it trusts nothing but the stored bytes."""
