"""The event log: the EventLog protocol, the codec, and the log in SQLite."""
