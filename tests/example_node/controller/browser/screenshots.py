"""Makes the pictures of the Controller's pages in the documentation:   scripts/screenshots.

They are put into another directory where one is named. A plant of two Nodes runs on loopback
meanwhile, and a browser goes from page to page.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect

from example_node.resources import WEBSOCKET
from tests.example_node.controller.browser.people import choose, log_in
from tests.example_node.controller.world import World, node_of, until, world
from tests.support.browser import chromium_running
from tests.support.tls import TestAuthority

PICTURES = Path(__file__).parents[4] / "docs" / "images" / "controller"
VIEW = ViewportSize(width=960, height=600)
PAGES = (
    *("matrix", "many", "groups", "salvos", "events"),
    *("channels", "devices", "me", "status", "log"),
)


def main(pictures: Path) -> None:
    """Make all pictures in a directory.

    Raises:
        SystemExit: there is no browser; the message says what to install.
    """
    if shutil.which("chromium") is None:
        sys.exit(
            "scripts/screenshots requires the command `chromium`, which is not in PATH; on Debian,"
            " `apt-get install chromium` installs it"
        )
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with (
            world(TestAuthority.create(directory), directory) as plant,
            plant.node("Studio A"),
            plant.node("Studio B"),
            plant.controlling(),
            chromium_running() as browser,
        ):
            with browser.new_context(
                base_url=plant.controller, ignore_https_errors=True, viewport=VIEW
            ) as context:
                operate(context.new_page(), plant, pictures)
            with browser.new_context(
                base_url=plant.controller,
                ignore_https_errors=True,
                viewport=VIEW,
                color_scheme="dark",
            ) as context:
                look(context.new_page(), pictures)


def operate(page: Page, plant: World, pictures: Path) -> None:
    """Do what an operator does, and take a picture of each page."""
    log_in(page)
    until(lambda: page.locator("#receivers [role=option]").count() >= 8)
    choose(page, "receivers", "studio a video")
    choose(page, "senders", "studio b video")
    page.get_by_role("button", name="TAKE").click()
    expect(page.locator("#result")).to_contain_text(" ms)")
    for pane in ("receivers", "senders"):
        page.locator(f"#{pane}-filter").fill("")
    picture(page, pictures, "routing")
    for kind, element in (("receiver", 0), ("sender", 1)):
        page.goto("/routing")
        choose(page, "receivers", "studio a video")
        choose(page, "senders", "studio b video")
        page.locator("#choice a").nth(element).click()
        page.wait_for_url(f"**/{kind}/*")
        picture(page, pictures, kind)
    for each in node_of(plant, 0).resources.senders.values():
        if each.transport == WEBSOCKET:
            page.goto(f"/sender/{each.id}")
            page.get_by_label("Send", exact=True).check()
            page.get_by_role("button", name="Activate").click()
    page.goto("/salvos")
    page.get_by_label("Name").fill("News")
    page.get_by_role("button", name="Keep").click()
    for each_page in PAGES:
        page.goto(f"/{each_page}")
        if each_page == "events":
            expect(page.locator(".at").first).not_to_be_empty()
        picture(page, pictures, each_page)


def look(page: Page, pictures: Path) -> None:
    """Take a picture of what a viewer is told, in the dark."""
    log_in(page, "viewer")
    choose(page, "receivers", "studio a video")
    picture(page, pictures, "viewer")


def picture(page: Page, pictures: Path, name: str) -> None:
    """Take a picture of what is in view."""
    expect(page.locator("#state")).to_have_text("Live")
    page.screenshot(path=pictures / f"{name}.png")
    sys.stdout.write(f"{name}.png\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else PICTURES)
