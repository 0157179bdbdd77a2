"""Fixtures of the development Authorization Server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.authority.support import Served, served


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """Run a server whose keys no test changes."""
    with served() as running:
        yield running
