"""The views: tables made from the facts, which can be thrown away and made again.

They read the words of the ledger (facts, ids, the feed) and never its writer or its stores.
"""
