"""One request from its header to its answer and its line in the audit log.

`decision` decides about a request, `decision_cache` remembers that, and `handling` sees to the
answer, the app's or the middleware's, in a shorter way where the request is `permitted`;
`resource_server` holds what lives as long as the app.
"""

__all__ = ["credentials", "decision_cache", "handling", "permitted", "resource_server", "routes"]
