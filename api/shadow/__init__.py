"""Rebuilds beside a running server: a process that builds, and what the server makes of it."""
