"""Authorization Servers that others wrote, run as programs of their own."""
