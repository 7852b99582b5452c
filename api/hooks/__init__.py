"""Send events to other programs: webhooks, and the lineage of jobs that end."""
