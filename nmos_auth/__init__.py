"""AMWA IS-10 authorization for NMOS Nodes built with FastAPI or Starlette."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nmos_auth.lazy import lazily

if TYPE_CHECKING:
    from nmos_auth.dependencies import EventSources, access_token, event_sources
    from nmos_auth.errors import (
        AuthorizationError,
        ConfigurationError,
        InsufficientScope,
        InvalidToken,
        NmosAuthError,
    )
    from nmos_auth.middleware import NmosAuthMiddleware
    from nmos_auth.rules.access_token import AccessToken
    from nmos_auth.settings import Settings

if os.name != "posix":
    raise ImportError(
        "nmos_auth runs on Linux, macOS and other POSIX systems: on Windows, use WSL."
    )

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

# A client requires no FastAPI, and pytest's plugin requires nothing at all.
_MODULES = {
    "dependencies": ("EventSources", "access_token", "event_sources"),
    "errors": (
        "AuthorizationError",
        "ConfigurationError",
        "InsufficientScope",
        "InvalidToken",
        "NmosAuthError",
    ),
    "middleware": ("NmosAuthMiddleware",),
    "rules.access_token": ("AccessToken",),
    "settings": ("Settings",),
}
__getattr__, __dir__ = lazily(globals(), _MODULES)
