"""The person whom AMWA's Controller suites ask, and his browser.

The tool sends each question to a testing facade and waits for the answer. This facade looks at the
Controller's Routing page, in Chromium, for what the question is about, and clicks what a person
would click.
"""

import contextlib
import json
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from playwright.sync_api import Error, Locator, Page, sync_playwright
from pydantic import BaseModel, Field, JsonValue

from tests.conformance.suites import FACADE_PORT

__all__ = ["answering"]

_DEADLINE = 120.0
_SECOND = 1000


class _Resource(BaseModel):
    id: str


class _Choice(BaseModel):
    answer_id: str
    resource: _Resource | None = None


class _Question(BaseModel):
    question_id: str
    answer_uri: str
    name: str
    answers: list[_Choice] = Field(default_factory=list)
    metadata: dict[str, JsonValue] | None = None

    def about(self, kind: str) -> str:
        """Return the id of the resource that the question names."""
        assert self.metadata is not None
        return _Resource.model_validate(self.metadata[kind]).id


class _RoutingPage:
    """What a person sees and does there.

    Attributes:
        gone: the id of a Sender that was there before.
    """

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._url = url
        self.gone = ""

    def open(self) -> None:
        """Log in, which the tool's server does without asking, as soon as that can be done."""
        deadline = time.monotonic() + _DEADLINE
        while True:
            with contextlib.suppress(Error):
                self._page.goto(f"{self._url}/login?next=/routing")
                if self._page.url != f"{self._url}/routing":
                    self._page.goto(f"{self._url}/routing")
                self._page.locator("#receivers-count").wait_for(timeout=2 * _SECOND)
                return
            if time.monotonic() > deadline:
                raise TimeoutError("the Controller does not show its Routing page")
            self._page.wait_for_timeout(_SECOND / 2)

    def row(self, pane: str, resource_id: str) -> Locator:
        """Return the row of a Sender or Receiver: the one that its id leaves in the filter."""
        self._page.locator(f"#{pane}-filter").fill(resource_id)
        # Rows are drawn with the next frame.
        self._page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        return self._page.locator(f"#{pane} [role=option][data-id='{resource_id}']")

    def shows(self, pane: str, resource_id: str) -> bool:
        """Tell whether there is such a row."""
        return self.row(pane, resource_id).count() > 0

    def source_of(self, receiver_id: str) -> str:
        """Return what a row says that a Receiver is connected to."""
        return self.row("receivers", receiver_id).locator(".now").inner_text()

    def is_connected(self, receiver_id: str) -> bool:
        """Tell whether a row says that a Receiver is connected."""
        return self.source_of(receiver_id).startswith("←")

    def label_of(self, sender_id: str) -> str:
        """Return how a row calls a Sender."""
        return self.row("senders", sender_id).locator(".what").inner_text()

    def can_connect(self, receiver_id: str) -> bool:
        """Tell whether a Receiver can be disconnected, which needs no source."""
        self.row("receivers", receiver_id).click()
        button = self._page.locator("#do-disconnect")
        return button.get_attribute("aria-disabled") == "false"

    def press(self, button: str, receiver_id: str, sender_id: str = "") -> None:
        """Choose a Receiver, and a Sender where one is given; press, and wait for the result."""
        self.row("receivers", receiver_id).click()
        if sender_id:
            self.row("senders", sender_id).click()
        self._page.locator(f"#do-{button}").click()
        wanted = "Connected" if button == "take" else "Disconnected"
        self._page.locator("#result", has_text=wanted).wait_for(timeout=20 * _SECOND)

    def until(self, holds: Callable[[], bool], seconds: float = _DEADLINE) -> None:
        """Look at the page until something holds on it."""
        deadline = time.monotonic() + seconds
        while not holds() and time.monotonic() < deadline:
            self._page.wait_for_timeout(_SECOND / 4)

    def settle(self) -> None:
        """Wait for the plant, and for what has just changed in it, to be shown."""
        self.until(lambda: self._page.locator("#state").inner_text() == "Live")
        self._page.wait_for_timeout(3 * _SECOND)


# The answers


def _chosen(question: _Question, holds: Callable[[str], bool]) -> list[_Choice]:
    """Return the choices whose resources something holds for."""
    return [
        each for each in question.answers if each.resource is not None and holds(each.resource.id)
    ]


def _all(choices: list[_Choice]) -> JsonValue:
    return [each.answer_id for each in choices]


def _senders(page: _RoutingPage, question: _Question) -> JsonValue:
    """Say which Senders there are."""
    return _all(_chosen(question, lambda each: page.shows("senders", each)))


def _receivers(page: _RoutingPage, question: _Question) -> JsonValue:
    """Say which Receivers there are."""
    return _all(_chosen(question, lambda each: page.shows("receivers", each)))


def _gone(page: _RoutingPage, question: _Question) -> JsonValue:
    """Say which Sender is not there any more, and remember it."""
    [gone] = _chosen(question, lambda each: not page.shows("senders", each))
    page.gone = gone.resource.id if gone.resource else ""
    return gone.answer_id


def _back(page: _RoutingPage, _: _Question) -> None:
    """Wait until the Sender that was gone is there again."""
    page.until(lambda: page.shows("senders", page.gone))


def _connectable(page: _RoutingPage, question: _Question) -> JsonValue:
    """Say which Receivers can be connected."""
    return _all(_chosen(question, page.can_connect))


def _take(page: _RoutingPage, question: _Question) -> None:
    page.press("take", question.about("receiver"), question.about("sender"))


def _disconnect(page: _RoutingPage, question: _Question) -> None:
    page.press("disconnect", question.about("receiver"))


def _connected(page: _RoutingPage, question: _Question) -> JsonValue:
    """Say which Receiver is connected."""
    [connected] = _chosen(question, page.is_connected)
    return connected.answer_id


def _source(page: _RoutingPage, question: _Question) -> JsonValue:
    """Say which Sender a Receiver is connected to."""
    shown = page.source_of(question.about("receiver")).removeprefix("← ")
    [source] = _chosen(question, lambda each: page.label_of(each) == shown)
    return source.answer_id


def _until_disconnected(page: _RoutingPage, question: _Question) -> None:
    page.until(lambda: not page.is_connected(question.about("receiver")))


# Other questions ask for nothing but a look at the page.
_ANSWERS: Mapping[tuple[str, str], Callable[[_RoutingPage, _Question], JsonValue]] = {
    ("IS-04-04", "test_03"): _senders,
    ("IS-04-04", "test_04"): _receivers,
    ("IS-04-04", "test_05_1"): _gone,
    ("IS-04-04", "test_05_2"): _back,
    ("IS-05-03", "test_01"): _connectable,
    ("IS-05-03", "test_02"): _take,
    ("IS-05-03", "test_03"): _disconnect,
    ("IS-05-03", "test_04"): _connected,
    ("IS-05-03", "test_04_1"): _source,
    ("IS-05-03", "test_04_2"): _until_disconnected,
}


@contextlib.contextmanager
def answering(suite: str, controller: str) -> Iterator[None]:
    """Answer the tool's questions until the block ends.

    Args:
        suite: IS-04-04 or IS-05-03.
        controller: the origin of the Controller.

    Raises:
        RuntimeError: there is no Chromium.
    """
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("the command chromium is needed to answer the tool's questions")
    questions: queue.Queue[_Question | None] = queue.Queue()

    class Facade(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if "question_id" in json.loads(body):
                questions.put(_Question.model_validate_json(body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing of it: the tool has a log."""

    person = threading.Thread(target=_person, args=[program, suite, controller, questions])
    with ThreadingHTTPServer(("127.0.0.1", FACADE_PORT), Facade) as facade:
        threading.Thread(target=facade.serve_forever, daemon=True).start()
        person.start()
        try:
            yield
        finally:
            questions.put(None)
            person.join()
            facade.shutdown()


def _person(
    program: str, suite: str, controller: str, questions: queue.Queue[_Question | None]
) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        page = _RoutingPage(browser.new_page(ignore_https_errors=True), controller)
        page.open()
        while (question := questions.get()) is not None:
            page.settle()
            answer = _ANSWERS.get((suite, question.question_id))
            said = {
                "question_id": question.question_id,
                "name": question.name,
                "answer_response": answer(page, question) if answer else None,
            }
            httpx.post(question.answer_uri, json=said).raise_for_status()
        browser.close()
