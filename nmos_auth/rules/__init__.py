"""Pure decisions on paths, permissions, audiences and tokens: no I/O, clock or environment.

Each module has one subject of IS-10; what a decision depends on is passed in.
"""

__all__ = [
    "access_token",
    "audience",
    "authorization",
    "paths",
    "permissions",
    "resources",
    "tokens",
]
