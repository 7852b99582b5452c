"""Programs for developers: they write files that the repository keeps."""
