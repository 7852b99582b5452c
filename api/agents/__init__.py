"""Read-only tools for agents, over the Model Context Protocol. Needs the extra `mcp`."""
