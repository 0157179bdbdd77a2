"""The demonstration: development servers, a reference Node, and requests that show it protected."""
