"""The public keys of Clients that sign their assertions (RFC 7523 Section 2.2)."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nmos_auth.authority.adapters import Reach, RegisteredClient
from nmos_auth.authority.assertions import AssertionKey, parse_client_keys
from nmos_auth.errors import TrustError
from nmos_auth.servers.addresses import Address, TcpConnector
from nmos_auth.servers.certificates import TlsFiles, tls_context
from nmos_auth.servers.http import HttpClient
from nmos_auth.servers.redirect_uris import is_loopback
from nmos_auth.servers.urls import EndpointUrl

__all__ = ["ClientKeys", "check_jwks_uri"]

# Seconds for which keys are used without fetching them again; and after which they are fetched
# again if a key is missing, or after a failure.
_FRESH = 300
_PAUSE = 2
_MOST_SETS = 1000
_NAMES_OF_KEY_SETS = ("/jwks", "/jwks.json")

logger = logging.getLogger("nmos_auth.authority")


def check_jwks_uri(uri: str, *, allow_http: bool, reach: Reach) -> str:
    """Return a `jwks_uri` that may be fetched.

    Args:
        uri: the URI.
        allow_http: whether http is allowed on loopback.
        reach: where it may be.

    Raises:
        ValueError: it may not be fetched.
    """
    url = EndpointUrl.parse(uri, allow_http=True)
    on_loopback = is_loopback(url.hostname)
    if url.scheme != "https" and not (allow_http and on_loopback):
        raise ValueError("must be https (http only on loopback, where that is allowed)")
    if on_loopback and reach is Reach.ELSEWHERE:
        raise ValueError(
            "must not be on loopback: register from this machine, or with an initial access token"
        )
    is_named = uri.endswith(_NAMES_OF_KEY_SETS) and "?" not in uri
    if on_loopback and reach is Reach.KEY_SETS_HERE and not is_named:
        raise ValueError(
            "must end with /jwks or /jwks.json on loopback, or come with an initial access token"
        )
    return uri


def _is_elsewhere(address: Address) -> bool:
    """Tell whether an address is on another machine, so that strangers may name it."""
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
    )


@dataclass
class _KeySet:
    keys: tuple[AssertionKey, ...] = ()
    fetched_at: float = float("-inf")
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class ClientKeys:
    """Fetches and keeps key sets, with bounds: no redirects, 256 KiB, five seconds, strict JSON.

    It belongs to one event loop.

    Args:
        ca_file: root certificates for the servers that have the keys; None for the system's.
        allow_http: let a `jwks_uri` on loopback be http.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None,
        allow_http: bool,
        monotonic: Callable[[], float],
    ) -> None:
        self._ca_file = ca_file
        self._allow_http = allow_http
        self._monotonic = monotonic
        self._elsewhere, self._anywhere = TcpConnector(_is_elsewhere), TcpConnector()
        self._sets: OrderedDict[tuple[str, Reach], _KeySet] = OrderedDict()

    async def keys_of(
        self, registered: RegisteredClient, kid: str | None
    ) -> Sequence[AssertionKey]:
        """Return the keys of a Client; none if they cannot be fetched.

        Args:
            registered: the Client.
            kid: the key that is needed: a set that does not have it is fetched again.
        """
        client = registered.client
        if client.jwks is not None:
            return parse_client_keys(dict(client.jwks))
        if client.jwks_uri is None:
            return ()
        return await self._fetched(client.jwks_uri, kid, reach=registered.reach)

    async def _fetched(
        self, uri: str, kid: str | None, *, reach: Reach
    ) -> tuple[AssertionKey, ...]:
        entry = self._sets.setdefault((uri, reach), _KeySet())
        self._sets.move_to_end((uri, reach))
        if len(self._sets) > _MOST_SETS:
            self._sets.popitem(last=False)
        async with entry.fetching:
            age = self._monotonic() - entry.fetched_at
            lacking = kid not in {key.kid for key in entry.keys}
            if age > _FRESH or (lacking and age > _PAUSE):
                await self._fetch(uri, entry, reach=reach)
        return entry.keys

    async def _fetch(self, uri: str, entry: _KeySet, *, reach: Reach) -> None:
        entry.fetched_at = self._monotonic()
        try:
            check_jwks_uri(uri, allow_http=self._allow_http, reach=reach)
            transport = HttpClient(
                tls_context(TlsFiles(self._ca_file)),
                connector=self._elsewhere if reach is Reach.ELSEWHERE else self._anywhere,
            )
            try:
                entry.keys = parse_client_keys(await transport.get_json(uri))
            finally:
                await transport.aclose()
        except (TrustError, ValueError, OSError) as error:
            # The keys that are held stay valid: the client's own server may be restarting.
            logger.warning("keys of a client cannot be fetched: %s", ascii(str(error))[1:-1])
