"""Authorization Servers that are in use, as their makers document them, before both halves."""
