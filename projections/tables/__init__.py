"""From event to rows: one pure projection a module."""
