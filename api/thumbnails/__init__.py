"""Thumbnails: drawn once for each content, in processes of their own, and kept under its digest."""
