"""The event log and its content store. Imports neither `api` nor `projections`."""
