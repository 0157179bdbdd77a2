"""One request to its answer."""
