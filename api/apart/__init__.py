"""A busy server's writer, apart: in a process of its own, with an interpreter of its own."""
