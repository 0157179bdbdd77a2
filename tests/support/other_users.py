"""Doing things as another user, for tests that root runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

__all__ = ["GROUP", "STRANGER", "USER", "acting_as", "as_root"]

USER = 4711
"""The user that a service runs as."""
STRANGER = 4712
"""Somebody else on the same machine."""
GROUP = 4713
"""A group that the service may be in."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")


@contextlib.contextmanager
def acting_as(user: int, *groups: int) -> Iterator[None]:
    """Be another user, in `groups` and in one of the user's own number."""
    held = os.getgroups(), os.getegid()
    os.setgroups(groups)
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(held[1])
        os.setgroups(held[0])
