"""A Registry that stops and returns: what is known stays, with its age, and is live again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.example_node.controller.world import Stream, see_all, until, world
from tests.support.tls import TestAuthority


@pytest.mark.timeout(180)
def test_a_registry_stops_and_returns(tls: TestAuthority, tmp_path: Path) -> None:
    """Pages say for how long data is not live; when the Registry is back all is read again."""
    with (
        world(tls, tmp_path) as plant,
        plant.node("Studio A"),
        plant.node("Studio B"),
        plant.controlling(),
        plant.person() as person,
    ):
        person.log_in()
        see_all(person)
        with Stream(person) as stream:
            until(lambda: stream.state("phase") == "following")
            with plant.registry_down():
                until(lambda: stream.state("phase") == "stale", 30)
                page = person.http.get("/routing").text
                assert '<html lang="en" class="stale">' in page
                assert "Not live: " in page
                assert page.count('type="radio"') >= 20
                until(
                    lambda: (
                        re.search(r"\(for ([2-9]|\d\d+) s\)", person.http.get("/status").text)
                        is not None
                    )
                )
            until(lambda: stream.state("phase") == "following", 60)
            until(lambda: len(stream.rows) >= 20, 60)
