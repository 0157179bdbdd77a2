"""How users log in: through a web application, or in a browser on this machine."""

from nmos_auth.client.login.browser import is_own_origin
from nmos_auth.client.login.failure import LoginFailure
from nmos_auth.client.login.routes import LoginRoutes
from nmos_auth.client.login.sessions import EndReason, MemorySessions, Session, SessionStore

__all__ = [
    "EndReason",
    "LoginFailure",
    "LoginRoutes",
    "MemorySessions",
    "Session",
    "SessionStore",
    "is_own_origin",
    "loopback",
    "redis",
]
