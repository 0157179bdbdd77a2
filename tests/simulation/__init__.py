"""Whole histories in virtual time: one seed, one history, to be replayed at will."""
