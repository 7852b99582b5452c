"""The projections: tables made from the events, which can be thrown away and made again.

They read the words of the ledger (events, ids, the feed) and never its writer or its stores.
"""
