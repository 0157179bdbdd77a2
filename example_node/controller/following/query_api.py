"""Requests to Query APIs, IS-04 v1.3, and the WebSockets of their subscriptions."""

import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode

from example_node.controller import redirects
from example_node.events.handshake import Connect, EventConnection, told
from nmos_auth import NmosAuthError
from nmos_auth.client import BearerAuth, TokenSource, websocket_headers
from nmos_auth.client.presenting import Recipients
from nmos_auth.discovery.dns_sd import ServiceType
from nmos_auth.errors import FetchError
from nmos_auth.servers.addresses import TcpConnector
from nmos_auth.servers.answers import Answer
from nmos_auth.servers.http import HttpClient, HttpRequest

QUERY_API = ServiceType("_nmos-query._tcp", "Query API", longest_while_none=10.0)
LARGEST_MESSAGE = 16 << 20
"""How many bytes a WebSocket message may have: some registries send all they know in one."""

TOO_LARGE = 413

_BASE = "/x-nmos/query/v1.3"
_OPENING_TIME, _CLOSING_TIME, _PING = 5, 1, 5
_UPDATE_RATE_MS = 100
_wire_logger = logging.getLogger(f"{__name__}.wire")
_wire_logger.setLevel(logging.INFO)  # at DEBUG it would write tokens

Data = Mapping[str, object]


class QueryApiError(Exception):
    """A Query API cannot be used now; the message says why, and names no token.

    Attributes:
        status: the HTTP status of its answer; None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Page:
    """One page of a collection, and where the page before it ends; None for the first of all."""

    resources: Sequence[object]
    before: str | None


@dataclass(frozen=True)
class Change:
    """What a Grain says of one resource: its state now, or None for one that is gone."""

    id: str
    now: object | None


class QueryApi:
    """Asks Query APIs, for one user.

    Args:
        http: sends requests, with bounds on what an answer may be.
        tokens: the user's; None where there is no authorization.
        recipients: tells which URLs may get the token, for a registry.
        tls: verifies the certificates of WebSockets.
        connector: makes the connections of WebSockets.
        allow_http: whether registries may be without TLS.
    """

    def __init__(
        self,
        http: HttpClient,
        tokens: TokenSource | None,
        recipients: Callable[[str], Recipients],
        *,
        tls: ssl.SSLContext,
        connector: TcpConnector,
        allow_http: bool,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._recipients = recipients
        self._tls = tls
        self._connector = connector
        self._schemes = {"wss", "ws"} if allow_http else {"wss"}

    async def subscribe(self, registry: str, collection: str) -> str:
        """Make a subscription of a collection, and return the URL of its WebSocket.

        Raises:
            QueryApiError: there is none.
        """
        asked = {
            "max_update_rate_ms": _UPDATE_RATE_MS,
            "resource_path": f"/{collection}",
            "params": {},
            "persist": False,
            # Optional; the mock Registry of AMWA's testing tool requires it the second time.
            "secure": urlsplit(registry).scheme == "https",
        }
        body = await self._json(registry, "POST", f"{_BASE}/subscriptions", asked)
        href = body.get("ws_href") if isinstance(body, Mapping) else None
        if not isinstance(href, str) or urlsplit(href).scheme not in self._schemes:
            raise QueryApiError("a subscription has no WebSocket that may be connected to")
        return href

    async def page(self, registry: str, collection: str, until: str | None, limit: int) -> Page:
        """Return the latest resources of a collection, up to a time.

        Raises:
            QueryApiError: there is no such page.
        """
        query = {"paging.limit": str(limit)} | ({} if until is None else {"paging.until": until})
        path = f"{_BASE}/{collection}?{urlencode(query, safe=':')}"
        answer = await self._send(registry, "GET", path, None)
        resources = _parsed(answer.body)
        if not isinstance(resources, list):
            raise QueryApiError(f"{collection}: the answer is not a list")
        since = answer.headers.get("x-paging-since")
        ends = since in {None, "0:0", until} or not resources
        return Page(resources, None if ends else since)

    @asynccontextmanager
    async def changes(
        self, registry: str, href: str
    ) -> AsyncIterator[AsyncIterator[Sequence[Change]]]:
        """Connect to a subscription's WebSocket; it tells the state first, and then changes.

        Raises:
            QueryApiError: it cannot be connected to, or has been closed.
        """
        try:
            async with await self._opened(registry, href) as connection:
                yield _grains(connection)
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            raise QueryApiError(f"the WebSocket was refused: {status}", status) from None
        except (WebSocketException, OSError, ValueError) as error:
            raise QueryApiError(f"the WebSocket ended: {told(error)}") from None

    async def _opened(self, registry: str, href: str) -> Connect:
        try:
            parts = urlsplit(href)
            secure = parts.scheme == "wss"
            host, port = parts.hostname or "", parts.port or (443 if secure else 80)
            headers = {}
            if self._tokens is not None:
                recipients = self._recipients(registry)
                headers = await websocket_headers(self._tokens, href, recipients)
            connected = await self._connector.connect(host, port, _OPENING_TIME)
        except NmosAuthError as error:
            raise QueryApiError(str(error)) from None
        return Connect(
            href,
            create_connection=EventConnection,
            additional_headers=headers,
            sock=connected,
            ssl=self._tls if secure else None,
            open_timeout=_OPENING_TIME,
            close_timeout=_CLOSING_TIME,
            ping_interval=_PING,
            ping_timeout=_PING,
            max_size=LARGEST_MESSAGE,
            max_queue=2,
            proxy=None,
            logger=_wire_logger,
        )

    async def _json(self, registry: str, method: str, path: str, body: object) -> object:
        return _parsed((await self._send(registry, method, path, body)).body)

    async def _send(self, registry: str, method: str, path: str, body: object) -> Answer:
        request = HttpRequest(
            method,
            f"{registry}{path}",
            headers={} if body is None else {"Content-Type": "application/json"},
            content=b"" if body is None else json.dumps(body).encode(),
        )
        auth = None
        try:
            if self._tokens is not None:
                auth = BearerAuth(self._tokens, self._recipients(registry), longest_wait=3.0)
            answer = await redirects.send(self._http, request, auth)
        except (FetchError, NmosAuthError) as error:
            raise QueryApiError(str(error), getattr(error, "status", None)) from None
        if answer.status not in {200, 201}:
            raise QueryApiError(
                f"{method} {path.partition('?')[0]}: {answer.status}", answer.status
            )
        return answer


async def _grains(connection: ClientConnection) -> AsyncIterator[Sequence[Change]]:
    async for message in _messages(connection):
        grain = _parsed(message.encode() if isinstance(message, str) else message)
        inner = grain.get("grain") if isinstance(grain, Mapping) else None
        entries = inner.get("data") if isinstance(inner, Mapping) else None
        if isinstance(entries, list):
            yield [
                Change(each["path"], each.get("post"))
                for each in entries
                if isinstance(each, Mapping) and isinstance(each.get("path"), str)
            ]


async def _messages(connection: ClientConnection) -> AsyncIterator[str | bytes]:
    try:
        async for message in connection:
            yield message
    except ConnectionClosed as closed:
        if closed.sent is not None and closed.sent.code == CloseCode.MESSAGE_TOO_BIG:
            raise QueryApiError("a message of the WebSocket is too large", TOO_LARGE) from None
        raise QueryApiError(f"the WebSocket ended: {told(closed)}") from None
    raise QueryApiError("the registry has closed the WebSocket")


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise QueryApiError("the answer is not JSON") from None
