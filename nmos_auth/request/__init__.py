"""One request from its header to its answer and its line in the audit log.

`decision` decides about a request, and `decision_cache` remembers that; `answering` answers in the
app's place, and `handling` sees to the answer of the app, in a shorter way where the request is
`permitted`; `resource_server` holds what lives as long as the app.
"""

__all__ = [
    "answering",
    "credentials",
    "decision_cache",
    "handling",
    "permitted",
    "resource_server",
    "routes",
]
