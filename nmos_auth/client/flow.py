"""How a request carries a token, with httpx and with httpx2."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable
from enum import Enum
from typing import Generic, Protocol, Self, TypeVar

from nmos_auth.client.errors import ClientClosed, ClientError
from nmos_auth.client.presenting import (
    Recipients,
    carries,
    manifest_requires_token,
    recipients_of,
    says_invalid_token,
    wait_for,
)
from nmos_auth.client.tokens.source import HeldToken, TokenSource, running_loop

__all__ = ["PresentsTokens"]

_AUTHORIZATION = "Authorization"
# Seconds that a request waits in all for Resource Servers that fetch keys.
_LONGEST_WAIT = 5.0
_MOST_WAITS = 3
# Seconds that a synchronous request waits for a token from the loop that keeps it.
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


class _Renew(Enum):
    """One more attempt with another token."""

    NOW = "now"


class _Course:
    """What has been tried for one request.

    Attributes:
        begun: whether the request was sent with a token.
    """

    def __init__(self, longest_wait: float) -> None:
        self.begun = False
        self._renewed = False
        self._left = longest_wait
        self._waits = 0

    def next_step(self, response: _Response, token: HeldToken) -> _Renew | float | None:
        """Return what follows an answer: another token, a pause in seconds, or nothing."""
        headers = response.headers
        # If a redirect has lost the token, the answer says nothing about it.
        rejected = carries(
            response.request.headers.get(_AUTHORIZATION), token
        ) and says_invalid_token(response.status_code, headers.get_list("www-authenticate"))
        if not (rejected and response.status_code == 401):
            pause = self._pause(response)
            if pause is not None:
                return pause
        # This includes a 503 that calls the token invalid, once no pause is left: some Resource
        # Servers always answer so.
        if not rejected or self._renewed:
            return None
        self._renewed = True
        # The Resource Server may have to fetch the key of the other token too.
        self._waits = 0
        return _Renew.NOW

    def _pause(self, response: _Response) -> float | None:
        pause = wait_for(
            response.status_code, response.headers.get("retry-after"), longest=self._left
        )
        if pause is None or self._waits == _MOST_WAITS:
            return None
        self._left -= pause
        self._waits += 1
        return pause


class PresentsTokens(ABC, Generic[RequestT, ResponseT]):
    """The flow that httpx and httpx2 ask an `Auth` for.

    Requests to `origins` get an Authorization header; all others are sent as they are. Both
    libraries remove the header in a redirect to another origin. After a 401 `invalid_token` a
    request is sent once more with another token; after a 503 with `Retry-After`, up to three times
    for each token and within `longest_wait` in all. A 503 that calls the token invalid leads to
    another token, once, after the longest wait. A request whose body is a stream is sent once.

    A synchronous client gets its tokens from a loop in another thread: see `ClientThread`.

    Args:
        tokens: the source of the token.
        origins: which URLs get it: origins like `https://node.example.com:8443`, or an object that
            decides, such as `TokenHosts` where URLs come from a Registry.
        allow_http: allow http origins too, for development; None for what the settings say.
        longest_wait: seconds that a request waits in all for Resource Servers that ask for it.

    Raises:
        ConfigurationError: an origin is not valid, or is http where that is not allowed.
    """

    requires_request_body = False
    requires_response_body = False

    def __init__(
        self,
        tokens: TokenSource,
        origins: Recipients | Iterable[str],
        *,
        allow_http: bool | None = None,
        longest_wait: float = _LONGEST_WAIT,
    ) -> None:
        self._tokens = tokens
        self._recipients = recipients_of(origins, allow_http=allow_http, tokens=tokens)
        self._longest_wait = longest_wait

    def for_manifest(self, href: str, controls: Iterable[object] | None = None) -> Self | None:
        """Return the `auth=` for fetching a Sender's `manifest_href`; None if it needs no token.

        BCP-003-02 "Node Manifest Href Authorization". Use it as `auth=` of the request.

        Args:
            href: the `manifest_href`.
            controls: the `controls` of the Sender's Device, whose Connection API at the same origin
                says in `authorization` whether a token is required; None where they are not known.
        """
        return self if manifest_requires_token(href, controls) else None

    async def async_auth_flow(self, request: RequestT) -> AsyncGenerator[RequestT, ResponseT]:
        """Send a request of an asynchronous client.

        Raises:
            NmosAuthError: there is no token now; nothing was sent.
        """
        if request.url not in self._recipients:
            yield request
            return
        course = _Course(self._longest_wait)
        while True:
            token = await self._tokens.token()
            if not self._present(request, token):
                # One that replaces a rejected token may be for other hosts: that answer stands.
                if not course.begun:
                    yield request
                return
            course.begun = True
            response = yield request
            step = course.next_step(response, token) if self._replayable(request) else None
            if step is None:
                return
            if not isinstance(step, _Renew):
                await asyncio.sleep(step)
            elif await self._tokens.replacement(token) is None:
                return

    def sync_auth_flow(self, request: RequestT) -> Generator[RequestT, ResponseT, None]:
        """Send a request of a synchronous client.

        Raises:
            NmosAuthError: there is no token now; nothing was sent.
        """
        if request.url not in self._recipients:
            yield request
            return
        course = _Course(self._longest_wait)
        while True:
            token = self._wait(self._tokens.token())
            if not self._present(request, token):
                # One that replaces a rejected token may be for other hosts: that answer stands.
                if not course.begun:
                    yield request
                return
            course.begun = True
            response = yield request
            step = course.next_step(response, token) if self._replayable(request) else None
            if step is None:
                return
            if not isinstance(step, _Renew):
                time.sleep(step)
            elif self._wait(self._tokens.replacement(token)) is None:
                return

    def _present(self, request: RequestT, token: HeldToken) -> bool:
        """Put a token into a request, if its URL may get this token."""
        permitted = self._recipients.permits(str(request.url), token)
        if permitted:
            request.headers[_AUTHORIZATION] = token.authorization
        return permitted

    def _wait(self, coroutine: Coroutine[object, object, T]) -> T:
        loop = self._tokens.loop
        if self._tokens.closed or self._tokens.forked:
            coroutine.close()
            raise (
                ClientClosed("the token source is closed")
                if self._tokens.closed
                else ClientError("the token source belongs to the parent process").advise(
                    "make a ClientThread after forking"
                )
            )
        if loop is None or not loop.is_running() or running_loop() is loop:
            coroutine.close()
            raise RuntimeError(
                "a synchronous client gets its tokens from a loop in another thread: use"
                " nmos_auth.client.ClientThread, or an asynchronous client"
            )
        waiting = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return waiting.result(_PATIENCE)
        except TimeoutError:
            waiting.cancel()
            raise ClientError(
                f"the loop that keeps the tokens did not answer within {_PATIENCE:g} s"
            ) from None

    @abstractmethod
    def _replayable(self, request: RequestT) -> bool:
        """Tell whether the body of `request` can be sent twice."""
