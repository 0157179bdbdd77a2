"""Requests of a Client to Authorization Servers, with the Client's own errors."""

from __future__ import annotations

import ssl
from typing import Protocol

from nmos_auth.client.errors import ServerUnavailable
from nmos_auth.errors import FetchError
from nmos_auth.servers.access import ServerAccess
from nmos_auth.servers.answers import Answer
from nmos_auth.servers.http import HttpClient, HttpRequest

__all__ = ["Answer", "HttpRequest", "HttpTransport", "Transport"]

# Seconds. An Authorization Server may fetch the Client's jwks_uri before it answers, so this is
# longer than the deadline for a document.
DEADLINE = 10.0


class Transport(Protocol):
    """Sends one request and returns its answer, whatever its status."""

    async def send(self, request: HttpRequest) -> Answer:
        """Send `request`.

        Raises:
            ServerUnavailable: there was no answer, or none within the bounds.
        """
        ...


class HttpTransport:
    """Sends requests with the bounds of `HttpClient`.

    Args:
        access: how servers are reached, or only the TLS context.
        deadline: seconds for one request, from start to end.
    """

    def __init__(
        self, access: ServerAccess | ssl.SSLContext, *, deadline: float = DEADLINE
    ) -> None:
        self._http = HttpClient(access, deadline=deadline)

    async def send(self, request: HttpRequest) -> Answer:
        """Send `request`; see `Transport`."""
        try:
            return await self._http.send(request)
        except FetchError as error:
            raise ServerUnavailable(str(error), status=error.status) from None

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()
