"""Fixtures for discovery: those of trust."""

from __future__ import annotations

from tests.trust.conftest import (
    authority,
    listener,
    make_settings,
    quick_settings,
    running_authority,
)

__all__ = ["authority", "listener", "make_settings", "quick_settings", "running_authority"]
