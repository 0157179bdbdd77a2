"""How users log in."""
