"""A page that stays open while tokens end, keys rotate and the Authorization Server restarts."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.example_node.controller.browser.people import choose
from tests.example_node.controller.world import World, node_of, patches, world
from tests.support.tls import TestAuthority

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

LIFETIME = 30
MINUTES = 3


@pytest.fixture(scope="module")
def plant(tls: TestAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a plant whose access tokens live for half a minute."""
    directory = tmp_path_factory.mktemp("long")
    with (
        world(tls, directory, token_lifetime=LIFETIME) as running,
        running.node("Studio A"),
        running.controlling(),
    ):
        yield running


def test_a_user_stays_logged_in(page: Page, plant: World) -> None:
    """Six lifetimes of a token, a new signing key and an outage later, TAKE is one PATCH still."""
    ends = time.monotonic() + 60 * MINUTES
    taken = 0
    before = patches(plant)
    choose(page, "receivers", "Video receiver")
    choose(page, "senders", "Video sender")
    key = page.locator("input[name=key]")
    while time.monotonic() < ends:
        last = key.input_value()
        page.get_by_role("button", name="TAKE").click()
        expect(page.locator("#result")).to_contain_text("Connected to Video sender")
        taken += 1
        expect(key).not_to_have_value(last)
        if taken == 2:
            plant.authority.authority.keys.rotate()
        if taken == 3:
            with plant.outage.lasting():
                page.wait_for_timeout(1000 * LIFETIME / 3)
        page.wait_for_timeout(10_000)
        expect(page.locator("#state")).to_have_text("Live")
    assert patches(plant) == before + taken
    assert next(iter(node_of(plant).receivers.values())).active.master_enable
