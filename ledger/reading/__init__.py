"""Reading the log: the feed of events, subscriptions, and replay."""
