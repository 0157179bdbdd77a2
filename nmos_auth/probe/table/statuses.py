"""Sets of statuses that rows share."""

from __future__ import annotations

__all__ = ["BAD_REQUEST", "CLOSED", "FORBIDDEN", "INVALID", "PERMITTED"]

PERMITTED = frozenset({200})
INVALID = frozenset({401})
FORBIDDEN = frozenset({403})
BAD_REQUEST = frozenset({400})
# A path that does not exist is as closed as one that is refused.
CLOSED = frozenset({400, 401, 403, 404, 405, 414, 431})
