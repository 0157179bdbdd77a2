"""The Access Tokens of Receivers of events: where they go, and what becomes of refused ones."""

import itertools
import time
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from example_node.events.tokens import EventTokens, credentials_of
from nmos_auth import ConfigurationError
from nmos_auth.client import Origins, TokenHosts, TokenSource
from nmos_auth.client.grants.grants import GrantedTokens
from nmos_auth.client.presenting import Recipients

URI = "wss://other.example.com/x-nmos/events/v1.0/devices/1"
INVALID = ['Bearer realm="other.example.com",error=invalid_token,error_description="Invalid"']


def issuing() -> TokenSource:
    """Tokens that are numbered from 1."""
    numbers = itertools.count(1)

    async def obtain() -> GrantedTokens:
        text = SecretStr(f"token-{next(numbers)}")
        return GrantedTokens(text, 3600, frozenset({"events"}), time.monotonic())

    return TokenSource(obtain, monotonic=time.monotonic)


def anywhere(*, allow_http: bool = False) -> Callable[[str], Recipients]:
    """Let tokens go to any host, as a Node does."""
    return lambda uri: Origins([uri], allow_http=allow_http)


async def test_tokens_go_over_tls_alone() -> None:
    """`ws` gets none, but where http is allowed for development."""
    async with issuing() as tokens:
        strict = EventTokens(tokens, anywhere())
        assert await strict.headers(URI) == {"Authorization": "Bearer token-1"}
        with pytest.raises(ConfigurationError, match="unencrypted"):
            await strict.headers("ws://other.example.com/")
        lax = EventTokens(tokens, anywhere(allow_http=True))
        assert await lax.headers("ws://other.example.com/") == {"Authorization": "Bearer token-1"}


async def test_a_host_that_gets_no_token_is_connected_to_without_one() -> None:
    """A Controller knows its hosts from the user's token and its settings only."""
    async with issuing() as tokens:
        credentials = EventTokens(tokens, lambda _: TokenHosts(["node.example.com"]))
        assert await credentials.headers("wss://node.example.com/") != {}
        assert await credentials.headers(URI) == {}


@pytest.mark.parametrize(
    ("status", "challenges", "token"),
    [
        (401, INVALID, "token-2"),
        (401, ["Bearer"], "token-1"),
        (401, [], "token-1"),
        (403, ['Bearer error="insufficient_scope"'], "token-1"),
        (503, INVALID, "token-1"),
    ],
)
async def test_a_token_that_is_invalid_is_replaced(
    status: int, challenges: list[str], token: str
) -> None:
    """IS-10 asks Clients to handle early revocation; what is refused for else is kept."""
    async with issuing() as tokens:
        credentials = EventTokens(tokens, anywhere())
        await credentials.refused(await credentials.headers(URI), status, challenges)
        assert await credentials.headers(URI) == {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("status", "challenges"), [(503, INVALID), (401, ["Bearer realm=x"])])
async def test_a_server_that_never_has_the_key_gets_another_token(
    status: int, challenges: list[str]
) -> None:
    """A 503 that calls the token invalid, or a 401 that says nothing, ends with the third."""
    async with issuing() as tokens:
        credentials = EventTokens(tokens, anywhere())
        for number in (1, 2):
            headers = {"Authorization": f"Bearer token-{number}"}
            for _ in range(3):
                assert await credentials.headers(URI) == headers
                await credentials.refused(headers, status, challenges)
                await credentials.refused(headers, 503, [])
        assert await credentials.headers(URI) == {"Authorization": "Bearer token-3"}


async def test_a_token_is_replaced_once() -> None:
    """Several servers may refuse the same token, and one may refuse one that is gone."""
    async with issuing() as tokens:
        credentials = EventTokens(tokens, anywhere())
        headers = await credentials.headers(URI)
        for _ in range(3):
            await credentials.refused(headers, 401, INVALID)
        assert await credentials.headers(URI) == {"Authorization": "Bearer token-2"}


async def test_a_node_without_tokens_says_so() -> None:
    """The log tells which variable is missing."""
    credentials = credentials_of(None, allow_http=False)
    with pytest.raises(ConfigurationError, match="NMOS_AUTH_CLIENT_NAME"):
        await credentials.headers(URI)
    await credentials.refused({}, 401, INVALID)
