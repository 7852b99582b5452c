"""Access to the disk: SQLite connections, durable files, the data folder and its lock."""
