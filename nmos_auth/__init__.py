"""AMWA IS-10 authorization for NMOS Nodes built with FastAPI or Starlette."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

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

_MODULES = {
    "AccessToken": "rules.access_token",
    "AuthorizationError": "errors",
    "ConfigurationError": "errors",
    "EventSources": "dependencies",
    "InsufficientScope": "errors",
    "InvalidToken": "errors",
    "NmosAuthError": "errors",
    "NmosAuthMiddleware": "middleware",
    "Settings": "settings",
    "access_token": "dependencies",
    "event_sources": "dependencies",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: a client needs no FastAPI, and pytest's plugin nothing at all."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what is offered, imported or not."""
    return sorted({*globals(), *__all__})
