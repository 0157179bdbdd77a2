"""A real browser, and what axe-core finds on its pages."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from importlib.resources import files

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = ["chromium_running", "serious_findings"]

_AXE = files("axe_playwright_python").joinpath("axe.min.js")
_SERIOUS = {"serious", "critical"}


@contextlib.contextmanager
def chromium_running() -> Iterator[Browser]:
    """Run Debian's Chromium until the block ends; nothing is downloaded."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        # Tests in containers run as root, whose processes Chromium has no sandbox for.
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        # A machine that runs other tests beside is slow.
        expect.set_options(timeout=20_000)
        yield browser
        browser.close()


def serious_findings(page: Page) -> list[str]:
    """Return the serious findings of a page, each with the element it is about."""
    page.evaluate(_AXE.read_text())
    passed, violations = page.evaluate(
        "axe.run().then(found => [found.passes.length, found.violations])"
    )
    assert passed > 5
    return [
        f"{each['id']}: {node['html']}"
        for each in violations
        if each["impact"] in _SERIOUS
        for node in each["nodes"]
    ]
