"""Programs that none of us wrote and that tests talk to."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["unavailable"]

# Set where a missing program is a failure and no reason to skip.
_REQUIRED = "ASGI_NMOS_AUTH_TEST_PEERS"


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where such programs are required."""
    if os.environ.get(_REQUIRED) == "required":
        pytest.fail(f"{reason}, and {_REQUIRED}=required")
    pytest.skip(reason)
