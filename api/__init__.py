"""The callers: the shapes on the wire, the server, the command line, and the Python client.

They may use every floor below; nothing below may use them.
"""
