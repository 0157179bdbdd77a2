"""A client over a bare socket: it sends the bytes it is given, which no HTTP library would."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HANDSHAKE", "Reply", "exchange", "request_bytes"]

Header = tuple[str, str | bytes]

HANDSHAKE: tuple[Header, ...] = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
"""The header fields of a WebSocket handshake (RFC 6455 Section 1.3)."""

_TIMEOUT = 10


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        status: the status code.
        headers: the header fields in their order, names in lower case.
        body: the body; after an upgrade, the first message.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return every value of a header field."""
        return [value for each, value in self.headers if each == name.lower()]

    def header(self, name: str) -> str | None:
        """Return the one value of a header field, or None where it is absent."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is repeated: {values}"
        return values[0] if values else None

    def json(self) -> object:
        """Read the body as JSON."""
        document: object = json.loads(self.body)
        return document

    def listed(self, name: str) -> set[str]:
        """Return the members of a comma-separated header field, in lower case."""
        return {each.strip().lower() for each in (self.header(name) or "").split(",")} - {""}


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def request_bytes(
    method: str, target: str | bytes, headers: Sequence[Header] = (), body: bytes = b""
) -> bytes:
    """Write a request, exactly as given, that asks for the connection to be closed."""
    fields: list[Header] = [("Host", "node1.example.com"), *headers]
    if not any(name.lower() == "connection" for name, _ in headers):
        fields.append(("Connection", "close"))
    if body:
        fields.append(("Content-Length", str(len(body))))
    lines = [b"%s %s HTTP/1.1" % (_octets(method), _octets(target))]
    lines += [b"%s: %s" % (_octets(name), _octets(value)) for name, value in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def exchange(port: int, request: bytes) -> Reply:
    """Send a request on a connection of its own and read the answer.

    After an upgrade, one message is read and the connection dropped. A server may keep a connection
    on which it refused an upgrade.

    Raises:
        OSError: the connection failed, or nothing came for ten seconds.
        ValueError: the answer is not HTTP.
    """
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            version, status, *_ = stream.readline().decode("latin-1").split(" ", 2)
            if version != "HTTP/1.1":
                raise ValueError(f"no HTTP: {version!r}")
            headers: list[tuple[str, str]] = []
            while line := stream.readline().rstrip(b"\r\n"):
                name, _, value = line.decode("latin-1").partition(":")
                headers.append((name.lower(), value.strip(" \t")))
            if status == "101":
                opcode, length = stream.read(2)
                if length > 125:  # RFC 6455 Section 5.2: a longer length follows
                    length = int.from_bytes(stream.read(2 if length == 126 else 8))
                body = stream.read(length) if opcode == 0x81 else b""
            elif b"Upgrade: websocket" in request and "content-length" in dict(headers):
                body = stream.read(int(dict(headers)["content-length"]))
            else:
                body = stream.read()
    return Reply(int(status), tuple(headers), body)
