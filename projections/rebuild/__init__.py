"""A new generation beside the serving one: build, compare, verify."""
