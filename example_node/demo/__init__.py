"""The demonstration: development servers, the example Node, and requests that show it protected."""
