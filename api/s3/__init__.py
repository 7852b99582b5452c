"""The S3 door: the calls that S3 clients make, answered from the same ledger.

A bucket is a folder at the user's home, a key the path of folder names and an asset's name.
"""
