"""Requests to Registration APIs over HTTP, with Access Tokens."""

import asyncio
import json
import ssl

import httpx

from example_node.registration.behaviour import (
    API_VERSION,
    Heartbeat,
    Register,
    RegistryAnswer,
    Request,
    Unregister,
)
from nmos_auth import NmosAuthError
from nmos_auth.client import BearerAuth, TokenSource
from nmos_auth.client.errors import quoted
from nmos_auth.errors import FetchError
from nmos_auth.servers.access import ServerAccess
from nmos_auth.servers.answers import Answer
from nmos_auth.servers.http import HttpClient, HttpRequest

# The share of the deadline for TCP, and for TLS.
CONNECT_SHARE = 0.4
LARGEST_BODY = 64 * 1024
# Seconds for which a connection waits for the next of many requests. Servers commonly close idle
# connections after five seconds, just when a heartbeat is due, which would then be lost.
KEEP_ALIVE = 1.0


class NoTokenError(Exception):
    """There is no Access Token now, which is not the registry's fault."""


class RegistryClient:
    """Sends requests to registries, with bounds on everything that a registry may do.

    Args:
        access: how registries are reached, or only the TLS context.
        tokens: the source of `registration` tokens; None without authorization.
        deadline: seconds for each request: "it is therefore advised that Nodes use the heartbeat
            interval to define their connection timeouts" (IS-04 "Behaviour: Registration").
        allow_http: tokens may go to http registries, for development.
        transport: carries the requests instead of connections of its own.
    """

    def __init__(
        self,
        access: ServerAccess | ssl.SSLContext,
        tokens: TokenSource | None,
        *,
        deadline: float,
        allow_http: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._tokens = tokens
        self._deadline = deadline
        self._allow_http = allow_http
        self._http = HttpClient(
            access,
            deadline=deadline,
            connect_deadline=deadline * CONNECT_SHARE,
            keep_alive=KEEP_ALIVE,
            largest_body=LARGEST_BODY,
            transport=transport,
        )

    async def send(self, registry: str, request: Request) -> RegistryAnswer:
        """Return the answer; its status is None if there is none.

        Raises:
            NoTokenError: nothing was sent.
        """
        auth = await self._auth(registry)
        made = _made(f"{registry}/x-nmos/registration", request)
        try:
            return _answer(await self._http.send(made, auth=auth))
        except FetchError as error:
            return RegistryAnswer(error.status, detail="" if error.status else str(error))
        except NmosAuthError as error:
            raise NoTokenError(str(error)) from None

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def _auth(self, registry: str) -> BearerAuth | None:
        """Return the credentials for this registry, once there is a token.

        An Authorization Server that fails is told from a registry that does: asking another
        registry would not help.
        """
        if self._tokens is None:
            return None
        try:
            async with asyncio.timeout(self._deadline):
                await self._tokens.token()
        except TimeoutError:
            raise NoTokenError(f"no Access Token within {self._deadline:g} s") from None
        except NmosAuthError as error:
            raise NoTokenError(str(error)) from None
        return BearerAuth(
            self._tokens,
            [registry],
            allow_http=self._allow_http,
            longest_wait=self._deadline / 2,
        )


def _made(base: str, request: Request) -> HttpRequest:
    match request:
        case Heartbeat(node_id):
            return HttpRequest("POST", f"{base}/{API_VERSION}/health/nodes/{node_id}")
        case Register(record):
            return HttpRequest(
                "POST",
                f"{base}/{API_VERSION}/resource",
                headers={"Content-Type": "application/json"},
                content=json.dumps({"type": record.kind, "data": record.data}).encode(),
            )
        case Unregister(kind, resource_id, api_version):
            return HttpRequest("DELETE", f"{base}/{api_version}/resource/{kind}s/{resource_id}")


def _answer(answer: Answer) -> RegistryAnswer:
    detail = _detail(answer) if answer.status >= 400 else ""
    return RegistryAnswer(answer.status, answer.location, detail)


def _detail(answer: Answer) -> str:
    """Return what an NMOS error body says, short, printable and without the token."""
    said = [(answer.document or {}).get(name) for name in ("error", "debug")]
    text = "; ".join(each for each in said if isinstance(each, str) and each)
    return quoted(text, answer.authorization.split()) or ""
