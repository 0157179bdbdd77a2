"""Sends requests one after another, and keeps their results."""

import json
import time
import urllib.parse
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from example_node.demo.requests import PATIENCE, Answer, Row, Server, Use
from nmos_auth.authority import Authority, Client

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Servers:
    """Where requests go."""

    authorization: Server
    registry: Server
    node: Server


class Story:
    """The story so far.

    Attributes:
        authority: the development Authorization Server, which signs any token that a row needs.
        servers: where requests go.
        rows: the rows of the table.
    """

    def __init__(self, authority: Authority, servers: Servers) -> None:
        self.authority = authority
        self.servers = servers
        self.rows: list[Row] = []

    def token(self, client: Client) -> str:
        """Get a token by the Client Credentials grant (RFC 6749 Section 4.4)."""
        secret = client.client_secret.get_secret_value()
        credentials = b64encode(f"{client.client_id}:{secret}".encode()).decode()
        form = {"grant_type": "client_credentials", "scope": " ".join(client.scopes)}
        answer = self.servers.authorization.request(
            "POST",
            "/token",
            {
                "Authorization": f"Basic {credentials}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            urllib.parse.urlencode(form).encode(),
        )
        token = json.loads(answer.body)["access_token"]
        assert isinstance(token, str)  # noqa: S101 - by RFC 6749 Section 5.1
        return token

    def ask(
        self,
        what: str,
        expected: str,
        server: Server,
        target: str,
        token: str | None = None,
        *,
        method: str = "GET",
        body: object = None,
    ) -> Answer:
        """Send a request, with a JSON body if there is one, and add a row."""
        answer = send(server, target, token, method=method, body=body)
        self.add(what, f"{method} {target}", expected, answer.summary)
        return answer

    def connect(
        self,
        what: str,
        expected: str,
        server: Server,
        target: str,
        token: str | None,
        use: Use,
    ) -> None:
        """Open a WebSocket, use it if it is opened, and add a row.

        Args:
            what: what the row is about.
            expected: the answer that is wanted.
            server: where it goes.
            target: its path.
            token: the access token, if any.
            use: what is done with the open socket.
        """
        answer = server.talk(target, _bearer(token), use)
        self.add(what, f"WebSocket {target}", expected, answer)

    def settle(self, server: Server, target: str, token: str) -> Answer:
        """Ask until the server has the keys, waiting each time as long as it says."""
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = send(server, target, token)
            if answer.retry_after is None or time.monotonic() > deadline:
                return answer
            time.sleep(float(answer.retry_after))

    def wait_for(self, server: Server, target: str, token: str) -> None:
        """Ask until a list is no longer empty."""
        wait_until(lambda: self.settle(server, target, token).body != b"[]")

    def add(self, what: str, request: str, expected: str, answer: str) -> None:
        """Add a row."""
        self.rows.append(Row(what, _shortened(request), expected, answer))


def wait_until(look: Callable[[], Seen]) -> Seen:
    """Look until something is there, or as long as there is patience; return what was seen."""
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = look()
        if seen or time.monotonic() > deadline:
            return seen
        time.sleep(0.1)


def send(
    server: Server,
    target: str,
    token: str | None,
    *,
    method: str = "GET",
    body: object = None,
) -> Answer:
    """Send a request, with a JSON body if there is one."""
    headers = _bearer(token)
    content = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        content = json.dumps(body).encode()
    return server.request(method, target, headers, content)


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _shortened(request: str) -> str:
    return "/".join(
        f"{segment[:8]}…" if len(segment) > 20 else segment for segment in request.split("/")
    )
