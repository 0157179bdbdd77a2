"""What axe-core finds on each page, in both colour schemes."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.example_node.controller.browser.people import log_in
from tests.example_node.controller.world import World
from tests.support.browser import serious_findings


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_no_page_has_a_serious_finding(
    chromium: Browser, plant: World, scheme: Literal["dark", "light"]
) -> None:
    """Names, roles, contrast and order, on all pages that the navigation has."""
    with chromium.new_context(
        base_url=plant.controller, ignore_https_errors=True, color_scheme=scheme, bypass_csp=True
    ) as context:
        page = context.new_page()
        page.goto("/")
        found = {"/": serious_findings(page)}
        log_in(page)
        paths = [link.get_attribute("href") for link in page.locator("nav a").all()]
        assert len(paths) >= 5
        for path in filter(None, paths):
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            found[path] = serious_findings(page)
    assert not any(found.values()), found


def test_all_is_reached_at_200_percent_zoom(chromium: Browser, plant: World) -> None:
    """At half the width nothing is cut off, and the page scrolls in one direction only."""
    with chromium.new_context(
        base_url=plant.controller, ignore_https_errors=True, viewport={"width": 640, "height": 400}
    ) as context:
        page = context.new_page()
        log_in(page)
        paths = [link.get_attribute("href") for link in page.locator("nav a").all()]
        for path in filter(None, paths):
            page.goto(path)
            wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wider) <= 0, path
