"""How a request carries a token, whichever httpx sends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable
from typing import Generic, Protocol, Self, TypeVar

from nmos_auth.client.presenting import (
    Origins,
    carries,
    is_connection_api_href,
    says_invalid_token,
    wait_for,
)
from nmos_auth.client.tokens.source import HeldToken, TokenSource, running_loop

__all__ = ["PresentsTokens"]

_AUTHORIZATION = "Authorization"
# Seconds that a request waits in all for Resource Servers that fetch keys.
_LONGEST_WAIT = 5.0
_MOST_WAITS = 3
# Seconds that a synchronous request waits for a token from the loop which keeps it.
_PATIENCE = 60.0

T = TypeVar("T")


class _Headers(Protocol):
    def __setitem__(self, name: str, value: str) -> None: ...

    def get(self, key: str, /) -> str | None: ...

    def get_list(self, key: str) -> list[str]: ...


class _Request(Protocol):
    @property
    def url(self) -> object: ...

    @property
    def headers(self) -> _Headers: ...


class _Response(Protocol):
    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> _Headers: ...

    @property
    def request(self) -> _Request: ...


RequestT = TypeVar("RequestT", bound=_Request)
ResponseT = TypeVar("ResponseT", bound=_Response)


class _Course:
    """What has been tried for one request."""

    def __init__(self, longest_wait: float) -> None:
        self._renewed = False
        self._left = longest_wait
        self._waits = 0

    def wants_other_token(self, response: _Response, token: HeldToken) -> bool:
        """Tell whether another token may help: once, and only where this one had got to."""
        if self._renewed or not carries(response.request.headers.get(_AUTHORIZATION), token):
            return False
        self._renewed = says_invalid_token(
            response.status_code, response.headers.get_list("www-authenticate")
        )
        if self._renewed:
            # The Resource Server may have to fetch the key of the other token too.
            self._waits = 0
        return self._renewed

    def wants_pause(self, response: _Response) -> float | None:
        """Give the seconds to wait before one more attempt, or None."""
        pause = wait_for(
            response.status_code, response.headers.get("retry-after"), longest=self._left
        )
        if pause is None or self._waits == _MOST_WAITS:
            return None
        self._left -= pause
        self._waits += 1
        return pause


class PresentsTokens(Generic[RequestT, ResponseT]):
    """The flow that httpx and httpx2 ask an `Auth` for.

    Requests to `origins` get an Authorization header, all others go as they are; a redirect to
    another origin loses it, which both libraries see to. After a 401 `invalid_token` a request is
    sent once more with another token; after a 503 with `Retry-After`, up to three times for each
    token and within `longest_wait` in all. A request whose body is a stream is sent once.

    With a synchronous client the token source lives on a loop in another thread: see
    `ClientThread`.

    Args:
        tokens: whose token.
        origins: who gets it, like `https://node.example.com:8443`.
        allow_http: for development, http origins too.
        longest_wait: seconds that a request waits in all for Resource Servers that ask for it.

    Raises:
        ConfigurationError: an origin is none, or http where that is not allowed.
    """

    requires_request_body = False
    requires_response_body = False

    def __init__(
        self,
        tokens: TokenSource,
        origins: Iterable[str],
        *,
        allow_http: bool = False,
        longest_wait: float = _LONGEST_WAIT,
    ) -> None:
        self._tokens = tokens
        self._origins = Origins(origins, allow_http=allow_http)
        self._longest_wait = longest_wait

    def for_manifest(self, href: str) -> Self | None:
        """Give what to fetch a Sender's `manifest_href` with: None where that is no IS-05 path.

        BCP-003-02 "Node Manifest Href Authorization". Use it as `auth=` of the request.
        """
        return self if is_connection_api_href(href) else None

    async def async_auth_flow(self, request: RequestT) -> AsyncGenerator[RequestT, ResponseT]:
        """Send a request of an asynchronous client.

        Raises:
            NmosAuthError: no token is to be had now; nothing was sent.
        """
        if request.url not in self._origins:
            yield request
            return
        course = _Course(self._longest_wait)
        while True:
            token = await self._tokens.token()
            request.headers[_AUTHORIZATION] = token.authorization
            response = yield request
            if not self._replayable(request):
                return
            if course.wants_other_token(response, token):
                if await self._tokens.replacement(token) is None:
                    return
            elif (pause := course.wants_pause(response)) is not None:
                await asyncio.sleep(pause)
            else:
                return

    def sync_auth_flow(self, request: RequestT) -> Generator[RequestT, ResponseT, None]:
        """Send a request of a synchronous client.

        Raises:
            NmosAuthError: no token is to be had now; nothing was sent.
        """
        if request.url not in self._origins:
            yield request
            return
        course = _Course(self._longest_wait)
        while True:
            token = self._wait(self._tokens.token())
            request.headers[_AUTHORIZATION] = token.authorization
            response = yield request
            if not self._replayable(request):
                return
            if course.wants_other_token(response, token):
                if self._wait(self._tokens.replacement(token)) is None:
                    return
            elif (pause := course.wants_pause(response)) is not None:
                time.sleep(pause)
            else:
                return

    def _wait(self, coroutine: Coroutine[object, object, T]) -> T:
        loop = self._tokens.loop
        if loop is None or not loop.is_running() or running_loop() is loop:
            coroutine.close()
            raise RuntimeError(
                "a synchronous client takes its tokens from a loop in another thread: use"
                " nmos_auth.client.ClientThread, or an asynchronous client"
            )
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(_PATIENCE)

    def _replayable(self, request: RequestT) -> bool:
        """Tell whether the body of `request` can be sent twice."""
        raise NotImplementedError
