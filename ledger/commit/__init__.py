"""The commit path: requests, the committer, its worker and the group commit."""
