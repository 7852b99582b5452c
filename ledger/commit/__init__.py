"""The commit path: requests, the committer, and the group commit."""
