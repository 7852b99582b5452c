"""The log of events: the EventLog protocol, the codec, and the SQLite log."""
