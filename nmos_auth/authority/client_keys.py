"""The public keys of Clients that sign their assertions (RFC 7523 Section 2.2)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from joserfc.jwk import RSAKey

from nmos_auth.authority.clients import KnownClient
from nmos_auth.authority.redirect_uris import is_loopback
from nmos_auth.errors import TrustError
from nmos_auth.servers.http import JsonClient, tls_context
from nmos_auth.trust.jwks import VerificationKey, parse_jwks

__all__ = ["ClientKeys", "check_jwks_uri"]

# Seconds: how long keys are taken for good, and how soon they are fetched again for a key that is
# missing, or after a failure.
_FRESH = 300
_PAUSE = 2
_MOST_SETS = 1000

_log = logging.getLogger("nmos_auth.authority")


def check_jwks_uri(uri: str, *, allow_http: bool) -> str:
    """Return a `jwks_uri` that may be fetched.

    Raises:
        ValueError: it is not https (http is for loopback, where that is allowed).
    """
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or not uri.isascii() or not uri.isprintable() or " " in uri or "@" in parts.netloc:
        raise ValueError("must be a URL with a host and without credentials")
    if parts.scheme != "https" and not (
        parts.scheme == "http" and allow_http and is_loopback(host)
    ):
        raise ValueError("must be https (http is for loopback, where allowed)")
    return uri


@dataclass
class _KeySet:
    keys: tuple[VerificationKey, ...] = ()
    fetched_at: float = float("-inf")
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class ClientKeys:
    """Fetches and keeps key sets, with bounds: no redirects, 256 KiB, five seconds, strict JSON.

    It belongs to one event loop.

    Args:
        ca_file: root certificates for the servers that have the keys; None for the system's.
        allow_http: let a `jwks_uri` on loopback be http.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None,
        allow_http: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ca_file = ca_file
        self._allow_http = allow_http
        self._clock = clock
        self._sets: OrderedDict[str, _KeySet] = OrderedDict()

    async def of(self, client: KnownClient, kid: str | None) -> Sequence[RSAKey]:
        """Give the keys of a Client: none where they cannot be had.

        Args:
            client: whose.
            kid: the key that is needed: a hint to fetch again a set that has it not.
        """
        if client.jwks is not None:
            return [_rsa_key(key) for key in parse_jwks(dict(client.jwks))]
        if client.jwks_uri is None:
            return []
        return [_rsa_key(key) for key in await self._fetched(client.jwks_uri, kid)]

    async def _fetched(self, uri: str, kid: str | None) -> tuple[VerificationKey, ...]:
        entry = self._sets.setdefault(uri, _KeySet())
        self._sets.move_to_end(uri)
        if len(self._sets) > _MOST_SETS:
            self._sets.popitem(last=False)
        async with entry.fetching:
            age = self._clock() - entry.fetched_at
            lacking = kid not in {key.kid for key in entry.keys}
            if age > _FRESH or (lacking and age > _PAUSE):
                await self._fetch(uri, entry)
        return entry.keys

    async def _fetch(self, uri: str, entry: _KeySet) -> None:
        entry.fetched_at = self._clock()
        try:
            check_jwks_uri(uri, allow_http=self._allow_http)
            transport = JsonClient(tls_context(self._ca_file))
            try:
                entry.keys = parse_jwks(await transport.get_json(uri))
            finally:
                await transport.close()
        except (TrustError, ValueError, OSError) as error:
            # Keys that were good stay good: the client's own server may be restarting.
            _log.warning("keys of a client cannot be fetched: %s", ascii(str(error))[1:-1])


def _rsa_key(key: VerificationKey) -> RSAKey:
    return RSAKey.import_key({"kty": "RSA", "n": key.n, "e": key.e})
