"""Requests over sockets, each on its own connection, sent byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from nmos_auth.errors import MissingExtra

with MissingExtra.named("probe", "h11"):
    import h11

__all__ = ["NoReply", "Reply", "Socket", "Wire", "is_address", "parsed", "unverified"]

_DEADLINE = 5.0
_LARGEST_BODY = 256 * 1024
_LARGEST_HEADERS = 64 * 1024
_TARGET = re.compile("[!-~]+")


class NoReply(Exception):
    """The device did not answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: at most 256 KiB.
        seconds: from the first byte sent to the last one received.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)
    seconds: float = 0.0

    def header(self, name: str) -> str | None:
        """Return the first value of a header field, or None."""
        return next((value for each, value in self.headers if each == name), None)

    def moved_to(self, target: str) -> str | None:
        """Return the target with its last slash added or removed, if this answer redirects there.

        IS-04 "APIs" lets a server serve one of the two and redirect GET and HEAD of the other.
        """
        if self.status not in {301, 302, 307, 308}:
            return None
        path, mark, query = target.partition("?")
        other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
        try:
            location = urlsplit(self.header("location") or "").path
        except ValueError:
            return None
        return f"{other}{mark}{query}" if location == other else None

    @property
    def retry_after(self) -> float | None:
        """Seconds after which to try again, or None."""
        value = self.header("retry-after") or ""
        return float(value) if value.isascii() and value.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Socket:
    """Where a device offers a WebSocket; many devices use another port for it.

    Attributes:
        target: path and query.
        port: the TCP port; None for that of the device's URL.
        secure: whether it uses TLS; None if that is as in the device's URL.

    Raises:
        ValueError: the target is not printable ASCII without spaces (RFC 9112 Section 3.2).
    """

    target: str
    port: int | None = None
    secure: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what would end the request line."""
        if not _TARGET.fullmatch(self.target):
            raise ValueError("the target must be printable ASCII without spaces")

    @classmethod
    def of(cls, url: str) -> Socket | None:
        """Return what a ws or wss URL names on any host, or None for another URL."""
        try:
            parts = urlsplit(url)
            if parts.scheme not in {"ws", "wss"} or not parts.path.startswith("/"):
                return None
            secure = parts.scheme == "wss"
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            return cls(target, parts.port or (443 if secure else 80), secure)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Wire:
    """Connects to one device.

    Attributes:
        host: its name or address.
        port: its TCP port.
        context: for TLS; None for http.
        deadline: seconds for one request.
    """

    host: str
    port: int
    context: ssl.SSLContext | None
    deadline: float = _DEADLINE

    def to(self, socket: Socket) -> Wire:
        """Return a wire to a WebSocket of the device, whichever host its URL names."""
        context = self.context
        if socket.secure is not None:
            context = (self.context or unverified()) if socket.secure else None
        return replace(self, port=socket.port or self.port, context=context)

    @property
    def authority(self) -> str:
        """Host and port as in a URL: an IPv6 address is in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    async def ask(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Reply:
        """Send one request, and read one answer.

        Args:
            method: the HTTP method.
            target: the request target, sent byte for byte.
            headers: header fields beside Host, Connection and those of the body.
            body: the body, which is JSON; None for no body.

        Raises:
            NoReply: no connection, no answer, or none that is HTTP.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.deadline):
                reader, writer = await asyncio.open_connection(
                    self.host,
                    self.port,
                    ssl=self.context,
                    server_hostname=None if self.context is None else self.host,
                )
                try:
                    writer.write(self._written(method, target, headers, body))
                    upgrades = any(name.lower() == "upgrade" for name, _ in headers)
                    return await _read(reader, method, began, upgrades=upgrades)
                finally:
                    # The answer is read, and some devices never answer the end of TLS.
                    writer.transport.abort()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except TimeoutError:
            raise NoReply(f"no answer within {self.deadline:g} s") from None
        except (OSError, h11.RemoteProtocolError) as error:
            raise NoReply(str(error) or type(error).__name__) from None

    def _written(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None
    ) -> bytes:
        fields = [("Host", self.authority), *headers]
        if not any(name.lower() == "connection" for name, _ in fields):
            fields.append(("Connection", "close"))
        if body is not None:
            fields += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def parsed(text: str | bytes) -> object:
    """Return a device's JSON, or None for what is not JSON or too deep."""
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document


def is_address(host: str) -> bool:
    """Return whether a host is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def unverified() -> ssl.SSLContext:
    """Return a context that accepts any certificate.

    A probe checks any device, and its tokens give access to nothing else.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _read(
    reader: asyncio.StreamReader, method: str, began: float, *, upgrades: bool
) -> Reply:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEADERS)
    # The request is already sent; h11 only requires to know which answers are possible.
    fields = [("Host", "probe")]
    if upgrades:
        fields += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    connection.send(h11.Request(method=method, target="/", headers=fields))
    connection.send(h11.EndOfMessage())
    status, headers, body = 0, [], bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(16384))
        elif isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            continue
        elif isinstance(event, h11.Response | h11.InformationalResponse):
            status = event.status_code
            headers = [(name.decode("latin-1"), v.decode("latin-1")) for name, v in event.headers]
            # Some devices announce a body when they refuse a handshake, and never send it.
            if upgrades:
                break
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _LARGEST_BODY:
                break
        else:
            break
    return Reply(status, headers, bytes(body), time.monotonic() - began)
