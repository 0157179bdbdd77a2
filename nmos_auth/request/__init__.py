"""One request from its header to its answer and its line in the audit log.

`decision` decides about a request, and `decision_cache` remembers the decision. `answering` answers
in place of the app. `handling` watches the answer of the app; for a request that a token permits,
the middleware does the same in a shorter way. `resource_server` holds what all requests share.
"""

__all__ = [
    "answering",
    "credentials",
    "decision_cache",
    "handling",
    "resource_server",
    "routes",
]
