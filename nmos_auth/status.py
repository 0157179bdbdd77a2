"""The status of a Node: a snapshot, and routes for status, readiness and liveness."""

from nmos_auth.operate.status import (
    Status,
    liveness,
    readiness,
    status_of,
    status_route,
    status_routes,
)

__all__ = ["Status", "liveness", "readiness", "status_of", "status_route", "status_routes"]
