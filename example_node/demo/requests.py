"""Sends requests byte for byte, and prints the table of their answers."""

import asyncio
import contextlib
import http.client
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from nmos_auth.command import columns, show, table

HOST = "localhost"
PATIENCE = 10.0

Use = Callable[[ClientConnection], Awaitable[str]]
"""Uses an open WebSocket, and returns the result in a few words."""


@dataclass(frozen=True)
class Answer:
    """An answer: the status, the RFC 6750 error code if any, and the body."""

    status: int
    error: str
    retry_after: str | None
    body: bytes

    @property
    def summary(self) -> str:
        """The answer as the table shows it."""
        return f"{self.status} {self.error}".strip()


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    request: str
    expected: str
    answer: str

    @property
    def is_right(self) -> bool:
        """Whether the answer is the one that IS-10 requires."""
        return self.expected == self.answer


@dataclass(frozen=True)
class Server:
    """Sends requests to one server on this machine, byte for byte as given."""

    port: int
    context: ssl.SSLContext

    def request(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None = None
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPSConnection(
            HOST, self.port, context=self.context, timeout=PATIENCE
        )
        with contextlib.closing(connection):
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return Answer(
                response.status,
                _error(response.headers.get("WWW-Authenticate")),
                response.headers.get("Retry-After"),
                response.read(),
            )

    def talk(self, target: str, headers: dict[str, str], use: Use) -> str:
        """Open a WebSocket and use it; return the result, or the refusal."""
        return asyncio.run(self._talk(target, headers, use))

    async def _talk(self, target: str, headers: dict[str, str], use: Use) -> str:
        opening = connect(
            f"wss://{HOST}:{self.port}{target}",
            ssl=self.context,
            additional_headers=headers,
            open_timeout=PATIENCE,
            proxy=None,
        )
        try:
            async with asyncio.timeout(2 * PATIENCE), opening as socket:
                return f"101 {await use(socket)}"
        except InvalidStatus as refusal:
            error = _error(refusal.response.headers.get("WWW-Authenticate"))
            return f"{refusal.response.status_code} {error}".strip()


def _error(challenge: str | None) -> str:
    return (challenge or "").partition("error=")[2].partition(",")[0]


def print_table(rows: list[Row]) -> None:
    """Print the rows, each with whether its answer is right."""
    lines = [("", "answer", "what is sent", "request")]
    for row in rows:
        answer = row.answer if row.is_right else f"{row.answer}, wanted {row.expected}"
        lines.append(("ok" if row.is_right else "WRONG", answer, row.what, row.request))
    # In a file the columns are as wide as necessary.
    show(table(lines, min(columns(), 1000)))
