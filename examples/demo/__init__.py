"""The demonstration: workflows that make pictures, sounds, texts, tables and 3D models."""
