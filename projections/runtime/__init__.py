"""Projections at work: generations of table files, their migrations, and their runners."""
