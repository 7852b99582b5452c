"""Benchmarks: ratios of the product to a minimal server (the floor), measured in the same run.

A rate depends on the load of the machine. A ratio of rounds taken in turns does not.
"""
