"""AMWA IS-10 authorization for NMOS Nodes built with FastAPI or Starlette."""

from nmos_auth.dependencies import EventSources, access_token, event_sources
from nmos_auth.errors import (
    AuthorizationError,
    ConfigurationError,
    InsufficientScope,
    InvalidToken,
    NmosAuthError,
)
from nmos_auth.middleware import NmosAuthMiddleware
from nmos_auth.rules.tokens import AccessToken
from nmos_auth.settings import Settings

__all__ = [
    "AccessToken",
    "AuthorizationError",
    "ConfigurationError",
    "EventSources",
    "InsufficientScope",
    "InvalidToken",
    "NmosAuthError",
    "NmosAuthMiddleware",
    "Settings",
    "access_token",
    "event_sources",
]

__version__ = "0.1.0"
