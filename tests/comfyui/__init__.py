"""ComfyUI for tests: its recorded answers, a server that answers with them, and a real one."""
