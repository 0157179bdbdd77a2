"""A plant of five thousand Receivers in one page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.example_node.controller.browser.lying import many_receivers
from tests.example_node.controller.world import World, world
from tests.support.tls import TestAuthority

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NUMBER = 5000


@pytest.fixture(scope="module")
def plant(tls: TestAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a Registry that knows many Receivers, and a Controller."""
    with (
        world(
            tls, tmp_path_factory.mktemp("many"), resources=list(many_receivers(NUMBER))
        ) as running,
        running.controlling(),
    ):
        yield running


def heap(page: Page) -> int:
    """Return the bytes of the page's heap, once it was collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: int = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used


def test_few_of_them_are_in_the_document(page: Page) -> None:
    """Scrolling through all of them leaves fewer than 2,000 elements, and a heap that is flat."""
    expect(page.locator("#receivers-count")).to_have_text(str(NUMBER))
    box = page.locator("#receivers")
    sizes = []
    for _ in range(3):
        for step in range(0, 101, 5):
            box.evaluate(
                "async (box, share) => { box.scrollTop = box.scrollHeight * share / 100;"
                " await new Promise(requestAnimationFrame); }",
                step,
            )
        assert page.evaluate("document.getElementsByTagName('*').length") < 2000
        sizes.append(heap(page))
    assert sizes[-1] < sizes[0] * 1.1
    expect(page.get_by_text("Receiver 49-99")).to_be_visible()


def test_a_filter_finds_one_of_them(page: Page) -> None:
    """By any of its words; what is left is counted."""
    expect(page.locator("#receivers-count")).to_have_text(str(NUMBER))
    page.locator("#receivers-filter").fill("receiver 37-42")
    expect(page.locator("#receivers .what")).to_have_text(["Receiver 37-42"])
    expect(page.locator("#receivers-count")).to_have_text(f"1 of {NUMBER}")
