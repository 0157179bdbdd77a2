"""JSON documents from Authorization Servers: the one place that speaks HTTP for the server side."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from nmos_auth.errors import FetchError
from nmos_auth.strict_json import JsonObject, parse_object

__all__ = ["GetJson", "JsonClient", "tls_context"]

GetJson = Callable[[str], Awaitable[JsonObject]]

LARGEST_BODY = 256 * 1024
DEADLINE = 5.0
CONNECT_DEADLINE = 2.0


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Make a context that verifies certificates, by `ca_file` alone or else by the system's roots.

    IS-10 "Discovery", Use with TLS: host names and the whole chain are checked.
    """
    return ssl.create_default_context(cafile=ca_file)


class JsonClient:
    """GETs JSON objects, with bounds on everything a server may do.

    No redirects, no proxies or credentials from the environment, no compressed answers, at most
    256 KiB and five seconds from start to end.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._client = httpx.AsyncClient(
            verify=context,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(DEADLINE, connect=CONNECT_DEADLINE),
            headers={"accept": "application/json", "accept-encoding": "identity"},
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def get_json(self, url: str) -> JsonObject:
        """Fetch one document.

        Raises:
            FetchError: it could not be had, or is not a strict JSON object.
        """
        try:
            async with asyncio.timeout(DEADLINE), self._client.stream("GET", url) as response:
                if response.status_code != 200:
                    raise FetchError(
                        f"{url} answered {response.status_code}", status=response.status_code
                    )
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise FetchError(f"{url} answered in an encoding that was not asked for")
                return parse_object(await self._body(url, response))
        except TimeoutError:
            raise FetchError(f"{url} took longer than {DEADLINE:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise FetchError(f"{url}: {error.__class__.__name__}: {error}") from None
        except ValueError as error:
            raise FetchError(f"{url} answered no JSON object: {error}") from None

    @staticmethod
    async def _body(url: str, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise FetchError(f"{url} answered more than {LARGEST_BODY} bytes")
        return bytes(body)

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()
