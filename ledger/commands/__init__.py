"""What callers can have recorded: one module a verb."""
