"""Exchanges with Authorization Servers: the one place of the client half that speaks HTTP."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from nmos_auth.client.errors import ServerUnavailable
from nmos_auth.servers.http import CONNECT_DEADLINE, LARGEST_BODY
from nmos_auth.servers.strict_json import JsonObject, parse_object

__all__ = ["Answer", "Exchange", "HttpExchange", "HttpRequest"]

# An Authorization Server may fetch our jwks_uri before it answers, so this is longer than what a
# document may take.
DEADLINE = 10.0
_LONGEST_WAIT = 86400.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to an Authorization Server.

    Attributes:
        method: the HTTP method.
        url: where to.
        headers: besides those every request has; not shown, since some are credentials.
        content: the body, not shown either.
        secrets: what must not appear in any error, though the server repeat it.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status.
        document: the body where it is a JSON object, else None.
        retry_after: seconds to wait as the server asks, or None.
    """

    status: int
    document: JsonObject | None = field(repr=False)
    retry_after: float | None = None


class Exchange(Protocol):
    """Sends one request and gives its answer, whatever its status."""

    async def send(self, request: HttpRequest) -> Answer:
        """Send `request`.

        Raises:
            ServerUnavailable: there was no answer, or none within the bounds.
        """
        ...


class HttpExchange:
    """Sends requests with bounds on everything a server may do.

    No redirects, no proxies or credentials from the environment, no compressed answers, at most
    256 KiB and ten seconds from start to end. Certificates are verified by `context`.
    """

    def __init__(self, context: ssl.SSLContext, *, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        self._client = httpx.AsyncClient(
            verify=context,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(deadline, connect=CONNECT_DEADLINE),
            headers={"accept": "application/json", "accept-encoding": "identity"},
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def send(self, request: HttpRequest) -> Answer:
        """Send `request`.

        Raises:
            ServerUnavailable: there was no answer, or none within the bounds.
        """
        where = _without_query(request.url)
        try:
            async with (
                asyncio.timeout(self._deadline),
                self._client.stream(
                    request.method,
                    request.url,
                    headers=request.headers,
                    content=request.content or None,
                ) as response,
            ):
                return Answer(
                    response.status_code,
                    _json_object(await self._body(where, response)),
                    _seconds(response.headers.get("retry-after")),
                )
        except TimeoutError:
            raise ServerUnavailable(f"{where} took longer than {self._deadline:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # The texts of connection errors name hosts and certificates, never what was sent.
            reason = f"{error.__class__.__name__}: {error}".removesuffix(": ")
            raise ServerUnavailable(f"{where}: {reason}") from None

    @staticmethod
    async def _body(where: str, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ServerUnavailable(f"{where} answered in an encoding that was not asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise ServerUnavailable(f"{where} answered more than {LARGEST_BODY} bytes")
        return bytes(body)

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()


def _json_object(body: bytes) -> JsonObject | None:
    try:
        return parse_object(body)
    except ValueError:
        return None


def _seconds(retry_after: str | None) -> float | None:
    # A date (RFC 9110 Section 10.2.3) is left out: it asks for a clock that two machines share.
    if retry_after is None or not re.fullmatch(r"[0-9]{1,9}", retry_after.strip()):
        return None
    return min(float(retry_after), _LONGEST_WAIT)


def _without_query(url: str) -> str:
    return url.partition("?")[0]
