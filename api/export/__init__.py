"""One job in the words of others: W3C PROV and OpenLineage.

Pure: a replayed job goes in, documents come out.
"""
