"""Nodes that lie about everything, and pages of another port of the same host."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests.example_node.controller.browser.lying import MARKUP, Resources, lying_node
from tests.example_node.controller.browser.people import choose, log_in
from tests.example_node.controller.world import World, node_of, patches, world
from tests.example_node.registry.support import uuid
from tests.support.tls import TestAuthority


@dataclass
class Listener:
    """Counts who connects to a port, and takes nothing from him."""

    socket: socket.socket
    connections: int = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.socket.getsockname()[1]
        return port

    def listen(self) -> None:
        """Accept and close connections until the socket is closed."""
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    """Listen where the lying Nodes send everybody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        opened = Listener(listening)
        threading.Thread(target=opened.listen, daemon=True).start()
        yield opened
        listening.shutdown(socket.SHUT_RDWR)


# What no token, and no request at all, goes to: each but the last is of another host than the
# token is for, or would show the token to the network.
HREFS = (
    "http://localhost:{port}/x-nmos/connection/v1.1/",
    "https://127.0.0.1:{port}/x-nmos/connection/v1.1/",
    "https://localhost@127.0.0.1:{port}/x-nmos/connection/v1.1/",
    "https://127.0.0.1:{port}/#.localhost/x-nmos/connection/v1.1/",
    "https://127.0.0.1:{port}?localhost/x-nmos/connection/v1.1/",
    "//127.0.0.1:{port}/x-nmos/connection/v1.1/",
    "javascript:alert(3)",
    "file:///etc/passwd",
)


@pytest.fixture(scope="module")
def plant(
    tls: TestAuthority, tmp_path_factory: pytest.TempPathFactory, listener: Listener
) -> Iterator[World]:
    """Run a plant with an honest Node and some that are only lies."""
    lies: Resources = []
    for number, href in enumerate(HREFS, 1):
        at = href.format(port=listener.port)
        lies += lying_node(number, at, at)
    with (
        world(tls, tmp_path_factory.mktemp("lies"), resources=lies) as running,
        running.node("Honest"),
        running.controlling(),
    ):
        yield running


def test_nothing_is_sent_where_a_node_says(page: Page, listener: Listener, plant: World) -> None:
    """A text says why; neither the Controller nor the browser connects, and labels are text."""
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    for number in range(1, len(HREFS) + 1):
        name = f"liar-{number:02}"
        choose(page, "receivers", name)
        expect(page.locator("#receivers .what").first).to_have_text(f"{name} {MARKUP}")
        choose(page, "senders", name)
        expect(page.locator("#choice")).to_have_text(f"{name} {MARKUP} ← {name} {MARKUP}")
        page.get_by_role("button", name="TAKE").click(force=True)
        expect(page.locator("#result")).not_to_be_empty()
        # What the page does not send, somebody may all the same.
        said = page.evaluate(
            """async ([receiver, sender]) => {
                const body = new URLSearchParams({ key: receiver, receiver, sender });
                const headers = { accept: "application/json" };
                return (await fetch("/take", { method: "POST", body, headers })).json();
            }""",
            [uuid(number * 100 + 5), uuid(number * 100 + 4)],
        )
        assert (said["outcome"], said["status"]) == ("failed", None), (HREFS[number - 1], said)
    for path in ("/devices", "/log"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_text(MARKUP).first).to_be_visible()
    assert listener.connections == 0
    assert dialogs == []
    assert page.locator("img").count() == 0


FOREIGN = """<!DOCTYPE html><title>foreign</title><body><script>
const CONTROLLER = %(controller)s;
const form = new URLSearchParams(%(fields)s);
async function attempt(name, work) {
  let outcome;
  try { outcome = `${await work()}`; } catch (error) { outcome = error.name; }
  const line = document.createElement("p");
  line.id = name;
  line.textContent = outcome;
  document.body.append(line);
}
const frame = document.createElement("iframe");
frame.src = `${CONTROLLER}/routing`;
document.body.append(frame);
const target = document.createElement("iframe");
target.name = "target";
document.body.append(target);
const blind = { method: "POST", body: form, mode: "no-cors", credentials: "include" };
attempt("blind", () => fetch(`${CONTROLLER}/take`, blind).then((answer) => answer.type));
const asked = { credentials: "include" };
attempt("read", () => fetch(`${CONTROLLER}/session`, asked).then((answer) => answer.text()));
attempt("stream", () => new Promise((resolve) => {
  const source = new EventSource(`${CONTROLLER}/live`, { withCredentials: true });
  source.onmessage = () => resolve("told");
  source.onerror = () => { source.close(); resolve("refused"); };
}));
attempt("form", () => {
  const element = document.createElement("form");
  element.method = "post"; element.action = `${CONTROLLER}/take`; element.target = "target";
  for (const [name, value] of form) {
    const input = document.createElement("input");
    input.name = name; input.value = value;
    element.append(input);
  }
  document.body.append(element);
  element.submit();
  return new Promise((resolve) => target.addEventListener("load", () => resolve("sent")));
});
</script>"""


def test_a_page_of_another_port_changes_and_learns_nothing(page: Page, plant: World) -> None:
    """The browser sends the cookies, for the host is the same; the page gets nothing by that."""
    node = node_of(plant)
    fields = {
        "receiver": next(iter(node.receivers)),
        "sender": next(iter(node.senders)),
        "key": "x",
    }
    body = FOREIGN % {"controller": repr(plant.controller), "fields": fields}
    foreign = "https://localhost:8999/"
    page.context.route(foreign, lambda route: route.fulfill(body=body, content_type="text/html"))
    before = patches(plant)
    other = page.context.new_page()
    other.goto(foreign)
    expect(other.locator("#blind")).to_have_text("TypeError")
    expect(other.locator("#read")).to_have_text("TypeError")
    expect(other.locator("#stream")).to_have_text("refused")
    expect(other.locator("#form")).to_have_text("sent")
    framed = [frame for frame in other.frames if frame.parent_frame is not None]
    assert len(framed) == 2
    assert all("Receiver" not in frame.content() for frame in framed)
    other.close()
    assert patches(plant) == before
    # He is logged in still.
    page.reload()
    expect(page.get_by_role("heading", name="Routing")).to_be_visible()


def test_a_stranger_cannot_plant_a_session(anybody: Page, plant: World) -> None:
    """A cookie that was in the browser before the login is not the session of after."""
    name = "__Host-nmos-auth-planted"
    anybody.context.add_cookies(
        [{"name": name, "value": "planted", "url": plant.controller, "secure": True}]
    )
    log_in(anybody)
    sessions = [
        each["value"]
        for each in anybody.context.cookies(plant.controller)
        if str(each["name"]).startswith("__Host-")
    ]
    assert len(set(sessions)) == len(sessions) >= 2
