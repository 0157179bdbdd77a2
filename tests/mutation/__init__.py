"""Mutants of the rooms that decide: small changes to the code, each of which a test must notice.

`scripts/mutate` runs it; it is not part of the default test run.
"""
