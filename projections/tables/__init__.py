"""The projections of this package, from event to rows: one module each."""
