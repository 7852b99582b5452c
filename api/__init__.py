"""The outer layer: the shapes on the wire, the server, the command line, and the Python client.

It may import every layer below; no layer below may import it.
"""
