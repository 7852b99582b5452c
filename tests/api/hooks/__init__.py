"""Tests of what is sent to other programs."""
