"""Worker processes of the server: how they start and stop, the committer, and the rebuild."""
