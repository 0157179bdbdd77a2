"""What two users do at the Controller, with a browser that runs no scripts."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from urllib.parse import urljoin, urlsplit

import httpx

from example_node.demo.requests import PATIENCE
from example_node.demo.story import Story, wait_until
from nmos_auth.authority import Permissions, User

_FORM = re.compile(r'<form method="post" action="([^"]+)">(.*?)</form>', re.DOTALL)
_FIELD = re.compile(r'<input[^>]*name="([^"]+)"(?:[^>]*value="([^"]*)")?')
_ROW = re.compile(
    r'name="(receiver|sender)" value="([^"]+)">\s*(?:<input[^>]*>\s*)?'
    r'<span class="what">([^<]*)</span>\s*<span class="where">([^<]*)<'
)

_ALL = ("*",)
_READ = Permissions(read=_ALL)
_QUERY = Permissions(read=_ALL, write=("subscriptions", "subscriptions/*"))


def make_users(hosts: tuple[str, ...]) -> tuple[tuple[User, str], tuple[User, str]]:
    """Make an operator, who may control all hosts, and a viewer, who may look at the first.

    Returns:
        Each with a password.
    """
    apis = ("connection", "events", "channelmapping")
    operator, first = User.throwaway("operator")
    viewer, second = User.throwaway("viewer")
    may_do = {
        "connection": Permissions(read=_ALL, write=("single/*", "bulk/*")),
        "channelmapping": Permissions(read=_ALL, write=("map/activations", "map/activations/*")),
        "events": _READ,
        "query": _QUERY,
    }
    may_see = {"query": _QUERY, **dict.fromkeys(apis, _READ)}
    return (
        (
            operator.model_copy(update={"permissions": may_do, "audience": hosts}),
            first.get_secret_value(),
        ),
        (
            viewer.model_copy(update={"permissions": may_see, "audience": hosts[:1]}),
            second.get_secret_value(),
        ),
    )


class Visit:
    """One user's browser at the Controller.

    Args:
        story: what is told.
        http: sends requests, and keeps cookies.
        user: the user's name.
    """

    def __init__(self, story: Story, http: httpx.Client, user: str) -> None:
        self._story = story
        self._http = http
        self._user = user

    def log_in(self, password: str) -> None:
        """Log in at the Authorization Server, authorize the Controller, and come back."""
        answer = self._http.get("/login?next=/routing")
        for _ in range(2):
            form = _FORM.search(answer.text)
            if form is None:
                break
            entered = {"username": self._user, "password": password}
            fields = {
                name: unescape(value) or entered.get(name, "")
                for name, value in _FIELD.findall(form[2])
            }
            target = urljoin(str(answer.url), unescape(form[1]))
            action = "login" if "password" in fields else "approve"
            answer = self._http.post(target, data={**fields, "action": action})
        arrived = f"{answer.status_code} {urlsplit(str(answer.url)).path}"
        self._story.add(f"{self._user} logs in", "GET /login", "200 /routing", arrived)

    def find(self, kind: str, label: str, node: str) -> str:
        """Return the id of a Receiver or Sender, once the Controller shows it."""

        def look() -> str:
            rows = _ROW.findall(self._http.get("/routing").text)
            return next(
                (
                    each
                    for of, each, what, where in rows
                    if (of, what) == (kind, label) and where.startswith(node)
                ),
                "",
            )

        return wait_until(look)

    def ask(self, what: str, expected: str, path: str, **fields: str) -> None:
        """Press a button, as a page's script does, and add what the Node answered."""
        answer = self._http.post(path, data=fields, headers={"accept": "application/json"})
        said = answer.json()
        status = "nothing sent" if said["status"] is None else str(said["status"])
        self._story.add(what, f"POST {path}", expected, status)

    def check(self, what: str, expected: str, path: str, **headers: str) -> None:
        """Send a request that no page of the Controller sends."""
        answer = self._http.post(path, headers=headers)
        self._story.add(what, f"POST {path}", expected, str(answer.status_code))

    def log_out(self) -> None:
        """Log out, and look whether that holds."""
        self._http.post("/logout?next=/")
        answer = self._http.get("/session", headers={"accept": "application/json"})
        self._story.add("after the logout", "GET /session", "401", str(answer.status_code))


@contextmanager
def visiting(story: Story, controller: str, user: str) -> Iterator[Visit]:
    """Open a browser at the Controller."""
    with httpx.Client(
        base_url=controller,
        verify=story.servers.node.context,
        follow_redirects=True,
        timeout=PATIENCE,
        headers={"accept": "text/html"},
    ) as http:
        yield Visit(story, http, user)


def tell_visits(story: Story, controller: str, passwords: dict[str, str]) -> None:
    """Show what a user may do and what another may not, and that foreign pages may do nothing."""
    with visiting(story, controller, "operator") as operator:
        operator.log_in(passwords["operator"])
        receiver = operator.find("receiver", "Video receiver", "Studio A")
        sender = operator.find("sender", "Video sender", "Studio B")
        elsewhere = operator.find("receiver", "Video receiver", "Studio B")
        connection = {"receiver": receiver, "sender": sender}
        operator.ask("operator connects", "200", "/take", **connection)
        operator.ask(
            "operator connects, other host", "200", "/take", **{**connection, "receiver": elsewhere}
        )
        operator.ask("operator disconnects", "200", "/disconnect", receiver=receiver)
        operator.ask("operator undoes that", "200", "/undo", receiver=receiver)
        foreign = "https://localhost:1"
        operator.check("a page of another port posts", "403", "/disconnect", origin=foreign)
        operator.log_out()
    with visiting(story, controller, "viewer") as viewer:
        viewer.log_in(passwords["viewer"])
        viewer.find("receiver", "Video receiver", "Studio B")
        viewer.ask("viewer disconnects", "403", "/disconnect", receiver=receiver)
        other = "viewer disconnects, token not for host"
        viewer.ask(other, "nothing sent", "/disconnect", receiver=elsewhere)
