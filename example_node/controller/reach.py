"""Requests of one user to Devices: where they may go at all, and bounds on everything else.

Whoever registers with a Registry chooses the hrefs in it. So a request goes only to an href of the
Device that it is meant for, only where the token's own audience or the operator names the host, and
only to addresses that may be connected to; it follows no redirect to elsewhere, and lasts no longer
and reads no more than it may.
"""

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from example_node.controller import redirects
from example_node.controller.plant import COLLECTIONS, Control, Device
from example_node.controller.settings import Network
from nmos_auth import NmosAuthError
from nmos_auth.client import BearerAuth, TokenHosts, TokenSource
from nmos_auth.client.errors import quoted
from nmos_auth.errors import FetchError
from nmos_auth.servers.access import ServerAccess
from nmos_auth.servers.addresses import Address, TcpConnector
from nmos_auth.servers.answers import Answer
from nmos_auth.servers.http import HttpClient, HttpRequest

DEADLINE = 5.0
LARGEST_BODY = 1 << 20
MOST_AT_ONCE = 32
KEEP_ALIVE = 2.0
JSON = "application/json"

CONNECTION = ("urn:x-nmos:control:sr-ctrl/v1.1", "urn:x-nmos:control:sr-ctrl/v1.0")
CHANNEL_MAPPING = ("urn:x-nmos:control:cm-ctrl/v1.0",)

_HTTP = {"wss": "https", "ws": "http"}


class ReachError(Exception):
    """A Device cannot be asked, or does not answer; the message tells the user why."""


class OutOfReachError(ReachError):
    """Nothing was sent, or a Device does not show what is required; nothing was changed."""


class NoAnswerError(ReachError):
    """The request may have reached the Device, and no answer came."""


@dataclass(frozen=True)
class Reply:
    """What a Device answered.

    Attributes:
        status: the HTTP status.
        body: the JSON of it; None where it is not JSON.
        text: the body as text.
        retry_after: seconds to wait as it asks, or None.
    """

    status: int
    body: object | None
    text: str = field(repr=False, default="")
    retry_after: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether it did what it was asked to."""
        return 200 <= self.status < 300

    @property
    def error(self) -> str:
        """What an NMOS error body says, short and printable."""
        said = self.body.get("error") if isinstance(self.body, Mapping) else None
        return quoted(said) or ""


def permits(networks: tuple[Network, ...]) -> Callable[[Address], bool]:
    """Return what tells which addresses may be connected to.

    Args:
        networks: those that the operator permits besides.
    """

    def permitted(address: Address) -> bool:
        if any(address in network for network in networks):
            return True
        return not (
            address.is_loopback
            or address.is_link_local
            or address.is_multicast
            or address.is_unspecified
            or address.is_reserved
        )

    return permitted


class Reach:
    """Sends the requests of one user.

    Args:
        access: how servers are reached, or just what verifies their certificates.
        tokens: the user's; None where there is no authorization.
        hosts: the operator's list of hosts that get tokens.
        permitted: tells which addresses may be connected to.
        allow_http: for development, send requests without TLS too.

    Attributes:
        connector: connects to the permitted addresses, for WebSockets too.
    """

    def __init__(
        self,
        access: ServerAccess | ssl.SSLContext,
        tokens: TokenSource | None,
        hosts: TokenHosts,
        permitted: Callable[[Address], bool],
        *,
        allow_http: bool,
    ) -> None:
        self._tokens = tokens
        self._hosts = hosts
        self._schemes = {"https", "http"} if allow_http or tokens is None else {"https"}
        self._at_once = asyncio.Semaphore(MOST_AT_ONCE)
        self.connector = TcpConnector(permitted)
        self.http = HttpClient(
            access,
            deadline=DEADLINE,
            keep_alive=KEEP_ALIVE,
            # The time of a request would go by while it waited for a connection; the follower uses
            # one for each collection.
            most_connections=MOST_AT_ONCE + len(COLLECTIONS),
            largest_body=LARGEST_BODY,
            connector=self.connector,
        )

    @property
    def hosts(self) -> TokenHosts:
        """What tells which hosts get the token."""
        return self._hosts

    async def control(self, device: Device | None, types: tuple[str, ...]) -> Control:
        """Return the best control of a Device of these types that a request may go to.

        Raises:
            OutOfReachError: there is none.
        """
        if device is None:
            raise OutOfReachError("The Registry does not have its Device.")
        why = f"Its Device has no control {types[0].rpartition('control:')[2]}."
        for wanted in types:
            for each in device.controls:
                if each.type != wanted:
                    continue
                # Paths are put after it.
                why = "Its address has a query." if "?" in each.href else await self.bar(each.href)
                if not why:
                    return each
        raise OutOfReachError(why)

    async def bar(self, href: str) -> str:
        """Return why no request may go to an href; "" where one may."""
        return (await self.bars())(href)

    async def bars(self) -> Callable[[str], str]:
        """Return `bar` for any number of hrefs, by the token of now, which is read once."""
        token, no_token = None, ""
        if self._tokens is not None:
            try:
                token = await self._tokens.token()
            except NmosAuthError as error:
                no_token = f"There is no token now: {error}"

        def bar(href: str) -> str:
            try:
                parts = urlsplit(href)
                host = parts.hostname
            except ValueError:
                return "Its address is not a URL."
            if not host or parts.fragment or parts.username is not None:
                return "Its address is not a URL that may be used."
            if _HTTP.get(parts.scheme, parts.scheme) not in self._schemes:
                return "Its address is not https, and a token must not travel unencrypted."
            if self._tokens is None:
                return ""
            if token is None or self._hosts.permits(href, token):
                return no_token
            return (
                f"Your token is not for {host}, so nothing is sent there: neither its audience"
                " nor EXAMPLE_CONTROLLER_TOKEN_HOSTS names it."
            )

        return bar

    async def send(
        self,
        control: Control,
        method: str,
        path: str,
        body: object | None = None,
        *,
        accept: str = JSON,
    ) -> Reply:
        """Send a request to a path below a control's href.

        Args:
            control: what the path is below.
            method: the method.
            path: the path.
            body: what is sent, as JSON.
            accept: the media type that is asked for.

        Raises:
            OutOfReachError: nothing was sent.
            NoAnswerError: no answer came.
        """
        return await self.fetch(
            f"{control.href.rstrip('/')}/{path}",
            method,
            body,
            with_token=control.authorization,
            accept=accept,
        )

    async def fetch(
        self,
        url: str,
        method: str = "GET",
        body: object | None = None,
        *,
        with_token: bool,
        accept: str = JSON,
    ) -> Reply:
        """Send a request to a URL, which `bar` has nothing against.

        Args:
            url: the URL.
            method: the method.
            body: what is sent, as JSON.
            with_token: whether the user's token is sent with it.
            accept: the media type that is asked for: sony/nmos-cpp has JSON of a transport file
                too.

        Raises:
            OutOfReachError: nothing was sent.
            NoAnswerError: no answer came, or one that cannot be read; of such an answer to a
                change, the status is returned.
        """
        why = await self.bar(url)
        if why:
            raise OutOfReachError(why)
        auth = None
        if with_token and self._tokens is not None:
            # A 503 is for the user to see, and for the caller to wait for.
            auth = BearerAuth(self._tokens, self._hosts, longest_wait=0)
        request = HttpRequest(
            method,
            url,
            headers={"Accept": accept} | ({} if body is None else {"Content-Type": JSON}),
            content=b"" if body is None else json.dumps(body).encode(),
        )
        async with self._at_once:
            try:
                return _reply(await redirects.send(self.http, request, auth))
            except FetchError as error:
                if method != "GET" and error.status is not None:
                    return Reply(error.status, None)
                kind = NoAnswerError if error.sent else OutOfReachError
                raise kind(_without_path(url, str(error))) from None
            except NmosAuthError as error:
                raise OutOfReachError(f"There is no token now: {error}") from None

    async def aclose(self) -> None:
        """Close what is open."""
        await self.http.aclose()


def _without_path(url: str, text: str) -> str:
    """Return a message with the host where it has the URL: no user looks for a path."""
    return text.replace(url, urlsplit(url).netloc)


def _reply(answer: Answer) -> Reply:
    text = answer.body.decode("utf-8", "replace")
    try:
        body = json.loads(answer.body) if answer.body else None
    except (ValueError, RecursionError):
        body = None
    return Reply(answer.status, body, text, answer.retry_after)
