"""Requests to servers, with bounds on everything that a server may do."""

from __future__ import annotations

import asyncio
import codecs
import functools
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from nmos_auth.errors import FetchError
from nmos_auth.servers.access import ServerAccess
from nmos_auth.servers.addresses import TcpConnector
from nmos_auth.servers.answers import (
    Answer,
    Document,
    document_of,
    made_at,
    media_type_of,
    wait_of,
)
from nmos_auth.servers.certificates import TlsIdentity
from nmos_auth.servers.strict_json import JsonObject, parse_object
from nmos_auth.servers.transport import (
    RenewingTransport,
    TidyStream,
    tidy_transport,
)
from nmos_auth.servers.urls import split_url, without_query

__all__ = ["HttpClient", "HttpRequest", "require_unchanged"]

# OpenSSL's X509_V_ERR codes: not yet valid, and expired; and those for an issuer that is not found.
_OUT_OF_TIME = frozenset({9, 10})
_UNKNOWN_ROOT = frozenset({2, 18, 19, 20, 21})
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
# What httpx raises before it sends a request.
_BEFORE_SENDING = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    *(httpx.UnsupportedProtocol, httpx.InvalidURL),
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.

    Attributes:
        method: the HTTP method.
        url: an absolute URL.
        headers: in addition to those of every request; not shown, since some are credentials.
        content: the body, not shown either.
        secrets: what must not appear in any error, even if the server repeats it.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


LARGEST_BODY = 256 * 1024
# Objects and arrays of a document. A key set of that size has fewer than a thousand keys.
_MOST_NESTED = 8192
DEADLINE = 5.0
CONNECT_DEADLINE = 2.0
_MOST_CONNECTIONS = 10
_LOCATION = "nmos_auth.location"
# What h11 does not accept as HTTP, it quotes: a line of the request or of an answer, in which a
# server may repeat a secret.
_LINE = re.compile(r"""[: ]*(?:bytearray\()?b['"].*""", re.DOTALL)


def require_unchanged(url: str) -> None:
    """Refuse a URL that httpx would change before the request.

    httpx removes dot segments and adds escapes: the URL that is fetched would not be the one that
    was checked. Only the case of the host and the default port may differ.

    Args:
        url: an http or https URL.

    Raises:
        FetchError: httpx would change it.
    """
    try:
        written, asked = split_url(url), httpx.URL(url)
        host, target = asked.raw_host.decode("ascii"), asked.raw_path.decode("ascii")
        _ = asked.host  # httpx decodes it for its headers, and fails if it cannot be decoded
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchError(f"{url!r:.200} cannot be fetched: {error}", sent=False) from None
    host = f"[{host}]" if ":" in host else host
    port = asked.port or written.default_port
    if (host, port, target) != (written.host, written.port, written.target or "/"):
        raise FetchError(f"{url!r:.200} cannot be fetched as it is written", sent=False)


class HttpClient:
    """Sends requests with bounds on everything that a server may do.

    It follows no redirects, keeps no cookies, uses no proxies or credentials from the environment,
    and accepts no compressed answers. The body and the time from start to end are limited. A URL
    that httpx would change is refused.

    Args:
        access: how servers are reached, or only the TLS context.
        deadline: seconds for one request, from start to end.
        connect_deadline: seconds of these for the look-up and TCP together, and again for TLS.
        keep_alive: seconds for which an idle connection waits for the next request.
        most_connections: how many may be open at once; further requests wait, within `deadline`.
        largest_body: bytes that an answer may have.
        connector: makes the connections; by default, to any address.
        transport: carries the requests instead of connections of its own.

        >>> client = HttpClient(ssl.create_default_context())  # doctest: +SKIP
        >>> await client.get_json("https://auth.example.com/jwks")  # doctest: +SKIP
    """

    def __init__(
        self,
        access: ServerAccess | ssl.SSLContext,
        *,
        deadline: float = DEADLINE,
        connect_deadline: float = CONNECT_DEADLINE,
        keep_alive: float = 0,
        most_connections: int = _MOST_CONNECTIONS,
        largest_body: int = LARGEST_BODY,
        connector: TcpConnector | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._deadline = deadline
        self._largest_body = largest_body
        if not isinstance(access, ServerAccess):
            access = ServerAccess(access)
        make = functools.partial(
            tidy_transport,
            keep_alive=keep_alive,
            most_connections=most_connections,
            # Transports follow one another, and their look-ups have the same bounds.
            connector=connector or TcpConnector(),
            proxy=access.proxy,
        )
        if transport is None:
            tls = access.tls
            transport = RenewingTransport(tls, make) if isinstance(tls, TlsIdentity) else make(tls)
        self._client = httpx.AsyncClient(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(deadline, connect=connect_deadline),
            headers={
                "accept": "application/json",
                "accept-encoding": "identity",
                "user-agent": access.user_agent,
            },
            # Cookies are not needed, and with them a server could make requests grow without limit.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            event_hooks={"response": [_put_location_aside]},
        )

    async def send(self, request: HttpRequest, *, auth: httpx.Auth | None = None) -> Answer:
        """Send a request, and return the answer whatever its status.

        Args:
            request: what to send.
            auth: adds credentials; what it raises is raised here.

        Raises:
            FetchError: there is no answer within the bounds, or the URL would not be fetched as it
                is written. It has the status of the answer if there is one.
        """
        require_unchanged(request.url)
        where = without_query(request.url)
        made = self._client.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content or None,
        )
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._client.send(made, auth=auth, stream=True)
                try:
                    return _answer(response, await self._body(where, response))
                finally:
                    await response.aclose()
        except TimeoutError:
            raise FetchError(f"{where} took longer than {self._deadline:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # The texts of connection errors contain hosts and certificates, but not what was sent.
            said = _LINE.sub("", str(error))
            reason = f"{error.__class__.__name__}: {said}".removesuffix(": ")
            raise FetchError(
                f"{where}: {reason}{_cure(error)}", sent=not isinstance(error, _BEFORE_SENDING)
            ) from None

    async def _body(self, where: str, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise FetchError(
                f"{where} answered in an encoding that was not asked for",
                status=response.status_code,
            )
        body, stream = bytearray(), response.extensions.get("network_stream")
        async for chunk in response.aiter_raw():
            body += chunk
            if isinstance(stream, TidyStream):
                stream.was_body(len(chunk))
            await asyncio.sleep(0)  # there may be thousands of chunks in what was read at once
            if len(body) > self._largest_body:
                raise FetchError(
                    f"{where} answered more than {self._largest_body} bytes",
                    status=response.status_code,
                )
        return bytes(body)

    async def get_document(self, url: str) -> Document:
        """Fetch one JSON object, whatever its media type.

        Raises:
            FetchError: as for `send`, or the answer is not 200 with a strict JSON object. It has
                the status of the answer, its Retry-After and its Location.
        """
        answer = await self.send(HttpRequest("GET", url))
        return document_of(url, answer)

    async def get_json(self, url: str) -> JsonObject:
        """Fetch the content of one document.

        Raises:
            FetchError: as for `get_document`.
        """
        return (await self.get_document(url)).content

    async def aclose(self) -> None:
        """Close what is open."""
        await self._client.aclose()


def _cure(error: BaseException) -> str:
    """Return the end of a message about a failed connection: what to do about it, or "".

    The exception of the `ssl` module is among the causes of httpx's exception.
    """
    if isinstance(error, httpx.ConnectTimeout):
        return "; check that it can be reached, and that it uses TLS"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code in _OUT_OF_TIME:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return f"; check this machine's clock, which says {now}, and the server's certificate"
        if cause.verify_code in _UNKNOWN_ROOT:
            return "; set NMOS_AUTH_CA_FILE to a file with the root certificate of its chain"
    elif isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS:
        return "; it does not speak TLS: is it an http port?"
    return ""


async def _put_location_aside(response: httpx.Response) -> None:
    """Keep httpx from parsing `Location`, which fails where that is not a URL."""
    if "location" in response.headers:
        response.extensions[_LOCATION] = response.headers.pop("location")


def _answer(response: httpx.Response, body: bytes) -> Answer:
    document, flaw = None, ""
    try:
        # RFC 8259 Section 8.1: parsers "MAY ignore the presence of a byte order mark".
        document = parse_object(body.removeprefix(codecs.BOM_UTF8), most_nested=_MOST_NESTED)
    except ValueError as error:
        flaw = str(error)
    headers = response.headers
    return Answer(
        response.status_code,
        document,
        retry_after=wait_of(headers.get("retry-after"), headers.get_list("date")),
        date=made_at(headers.get_list("date"), headers.get_list("age")),
        media_type=media_type_of(headers.get("content-type", "")),
        location=response.extensions.get(_LOCATION),
        empty=not body.strip(),
        flaw=flaw,
        authorization=response.request.headers.get("authorization", ""),
        headers=dict(headers),
        body=body,
    )
