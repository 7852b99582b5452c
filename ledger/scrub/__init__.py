"""The scrub: contents and log are read again from the disk."""
