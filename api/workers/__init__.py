"""Child processes of the server: the committer, and the rebuild."""
