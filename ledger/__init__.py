"""The events: what happened, recorded once, in one order, never changed.

Nothing here knows who asks (`api`) or which tables answer (`projections`).
"""
