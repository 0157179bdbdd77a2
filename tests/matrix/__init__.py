"""Other servers and frameworks than the default run has: `nox -s servers frameworks`."""
