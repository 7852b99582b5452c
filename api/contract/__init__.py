"""The HTTP API as data: requests, responses, parameters, errors.

Nothing here serves or calls HTTP, so the server and the client share these tables.
"""
