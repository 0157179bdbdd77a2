"""The demonstration: development servers, a reference Node, and requests to it."""
