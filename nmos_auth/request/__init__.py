"""One request from its header to its answer and its line in the audit log.

`handling` decides a request with what `resource_server` holds for the life of the app;
`decision_cache` remembers decisions.
"""

__all__ = ["credentials", "decision_cache", "handling", "resource_server", "routes"]
