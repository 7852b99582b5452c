"""The shapes on the wire: what may come in, what goes out, and what each refusal is called.

Nothing here serves or calls HTTP, so that the server and the client read the same tables.
"""
