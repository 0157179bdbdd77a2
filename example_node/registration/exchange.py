"""Requests to Registration APIs over HTTP, with Access Tokens."""

import asyncio
import json
from typing import Protocol

import httpx

from example_node.registration.behaviour import (
    API_VERSION,
    Answer,
    Heartbeat,
    Register,
    Request,
    Unregister,
)
from nmos_auth import NmosAuthError
from nmos_auth.client import BearerAuth, TokenSource
from nmos_auth.client.errors import quoted

# Of the deadline, for each of TCP and TLS.
CONNECT_SHARE = 0.4
LARGEST_BODY = 64 * 1024
# Seconds for which a connection waits for the next of many requests. Servers commonly close idle
# ones after five seconds, just when a heartbeat is due, and it would be lost with its connection.
KEEP_ALIVE = 1.0


class NoTokenError(Exception):
    """No Access Token is to be had now, which is no fault of the registry's."""


class Exchange(Protocol):
    """Sends one request to a registry."""

    async def send(self, registry: str, request: Request) -> Answer:
        """Give the answer, also where there is none.

        Raises:
            NoTokenError: Nothing was sent.
        """
        ...


class HttpExchange:
    """Sends requests with bounds on everything that a registry may do.

    Args:
        transport: Carries them, and verifies the registries' certificates.
        tokens: Gives `registration` tokens; None where there is no authorization.
        deadline: Seconds for each request: "it is therefore advised that Nodes use the heartbeat
            interval to define their connection timeouts" (IS-04 "Behaviour: Registration").
        allow_http: Tokens may go to http registries, for development.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        tokens: TokenSource | None,
        *,
        deadline: float,
        allow_http: bool = False,
    ) -> None:
        self._tokens = tokens
        self._deadline = deadline
        self._allow_http = allow_http
        self._http = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(deadline, connect=deadline * CONNECT_SHARE),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )

    async def send(self, registry: str, request: Request) -> Answer:
        """Give the answer, also where there is none.

        Raises:
            NoTokenError: Nothing was sent.
        """
        auth = await self._auth(registry)
        made = self._made(f"{registry}/x-nmos/registration", request)
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._http.send(made, auth=auth, stream=True)
                try:
                    return await _answer(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            return Answer(None, detail=f"within {self._deadline:g} s")
        except NmosAuthError as error:
            raise NoTokenError(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Answer(None, detail=f"{error.__class__.__name__}: {error}".removesuffix(": "))

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def _auth(self, registry: str) -> BearerAuth | None:
        """Give what presents a token to this registry, once there is a token.

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

    def _made(self, base: str, request: Request) -> httpx.Request:
        match request:
            case Heartbeat(node_id):
                url = f"{base}/{API_VERSION}/health/nodes/{node_id}"
                return self._http.build_request("POST", url)
            case Register(record):
                body = json.dumps({"type": record.kind, "data": record.data}).encode()
                return self._http.build_request(
                    "POST",
                    f"{base}/{API_VERSION}/resource",
                    content=body,
                    headers={"Content-Type": "application/json"},
                )
            case Unregister(kind, resource_id, api_version):
                url = f"{base}/{api_version}/resource/{kind}s/{resource_id}"
                return self._http.build_request("DELETE", url)


async def _answer(response: httpx.Response) -> Answer:
    # The body is read to its end, unless it is long, so that the connection can be used again.
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_BODY:
            break
    sent = response.request.headers.get("authorization", "")
    detail = _detail(bytes(body), sent) if response.status_code >= 400 else ""
    return Answer(response.status_code, response.headers.get("location"), detail)


def _detail(body: bytes, authorization: str) -> str:
    """Give what an NMOS error body says, short, printable and without our token."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict):
        return ""
    said = [document.get(name) for name in ("error", "debug")]
    text = "; ".join(each for each in said if isinstance(each, str) and each)
    return quoted(text, authorization.split()) or ""
