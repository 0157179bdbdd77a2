"""Fixtures for the owners of Nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.redis import redis_server


@pytest.fixture(scope="package")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Redis server for this room; who uses it keeps to a prefix of its own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url
