"""What people do in a browser."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Error, Page, Request, Response, expect

from tests.example_node.controller.world import PASSWORD

__all__ = ["Seen", "choose", "log_in", "sign_in"]


def sign_in(page: Page, name: str = "operator", password: str = PASSWORD) -> None:
    """Enter a name and a password at the Authorization Server."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def log_in(page: Page, name: str = "operator") -> None:
    """Log in, consent, and wait until the plant is shown."""
    page.goto("/login?next=/routing")
    sign_in(page, name)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url("**/routing")
    expect(page.locator("#state")).to_have_text("Live")
    for pane in ("receivers", "senders"):
        expect(page.locator(f"#{pane}-count")).not_to_have_text("0")


def choose(page: Page, pane: str, text: str) -> None:
    """Filter a pane of the Routing page, and click the first row that is left."""
    page.locator(f"#{pane}-filter").fill(text)
    # The page draws the rows that are left with its next frame.
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
    page.locator(f"#{pane} [role=option]").first.click()


class Seen:
    """All that a browser sends and receives.

    Args:
        context: the browser.

    Attributes:
        urls: what it asked for.
        texts: headers and bodies, in both directions.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.urls: list[str] = []
        self.texts: list[str] = []
        self._answers: list[Response] = []
        context.on("request", self._request)
        context.on("response", self._response)

    def _request(self, request: Request) -> None:
        self.urls.append(request.url)
        self.texts.append(repr(request.headers) + (request.post_data or ""))

    def _response(self, response: Response) -> None:
        self._answers.append(response)

    def everything(self) -> str:
        """Return all of it, but for the bodies of streams that are open still."""
        for answer in self._answers:
            self.texts.append(repr(answer.all_headers()))
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                continue
            try:
                self.texts.append(answer.text())
            except Error:
                # A redirect has no body.
                continue
        self._answers.clear()
        return "\n".join(self.urls + self.texts)
