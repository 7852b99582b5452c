"""Thumbnails: drawn once for each content, in worker processes, and cached by digest."""
