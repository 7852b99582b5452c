"""Child processes of the server: one way to start and stop them, the committer, and the rebuild."""
