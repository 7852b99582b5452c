"""Benchmarks: ratios against a bare floor measured in the same run, never rates alone.

A rate says how busy the machine was; a ratio of rounds taken in turns says what the product costs.
"""
