"""Resumable uploads: in a data folder, or in a database that several servers share."""
