"""What all requests share: the keys, the verified tokens, the audit log and ready answers."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Mapping

from nmos_auth.audit.log import OFF, AuditLog
from nmos_auth.errors import AuthorizationError, ConfigurationError
from nmos_auth.request.challenge import ErrorAnswer, answer_to
from nmos_auth.request.cors import CrossOrigin
from nmos_auth.request.decision import Ruling
from nmos_auth.request.decision_cache import RequestKey
from nmos_auth.servers.http import HttpClient
from nmos_auth.settings import ExpiredSockets, Settings, access_to_servers
from nmos_auth.trust.jwks import VerificationKey
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.keys_file import KeysFile
from nmos_auth.trust.memory import Memory
from nmos_auth.trust.static_keys import read_static_keys
from nmos_auth.trust.status import IssuerStatus, TrustStatus
from nmos_auth.trust.verifier import Verifier

__all__ = ["ResourceServer"]

# 16 advertised members, 8 advertised servers that are being confirmed, 3 neighbours; rounded up.
_MOST_FOUND = 32

logger = logging.getLogger("nmos_auth")


class ResourceServer:
    """The running resource server behind one middleware.

    Attributes:
        audience: the names by which this server is known.
        verifier: verifies tokens.
        rulings: the rulings on requests that may come again.
        audit: receives one record for each decision.
        cross_origin: decides which web origins may read refusals.
        clock: seconds since 1970 UTC.
        closes_sockets: whether open WebSockets end with their tokens.
        loop: the event loop of the background work, or None while there is none.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._keys = KeyStore(
            settings,
            functools.partial(
                HttpClient,
                access_to_servers(settings),
                # One for each that may be asked at once, with the issuers that configured servers
                # name: none waits for one that is slow.
                most_connections=_MOST_FOUND
                + 2 * len({*settings.servers, *settings.trusted_issuers}),
            ),
            kept=None if settings.keys_file is None else KeysFile(settings.keys_file),
            static_keys=_static_keys(settings),
            clock=clock,
        )
        self.loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()
        self.clock = clock
        self.closes_sockets = settings.expired_sockets is ExpiredSockets.CLOSE
        self._realm = settings.realm
        self.verifier = Verifier(
            self._keys,
            settings.audience,
            settings.leeway,
            most=settings.remembered_tokens,
            clock=clock,
        )
        self.rulings: Memory[RequestKey, Ruling] = Memory(settings.remembered_requests)
        self.audience = settings.audience
        self._audit_log = settings.audit_log
        self.audit = AuditLog(settings.audit_log, clock=clock, limit=settings.audit_limit or None)
        self.cross_origin = CrossOrigin(settings.cors_origins)

    def start(self) -> None:
        """Begin background work on the running event loop, unless it has begun there already.

        Raises:
            ConfigurationError: the audit log cannot be written; the app does not run on asyncio;
                or it runs on another event loop already.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                "NmosAuthMiddleware requires asyncio; make the server use asyncio"
                " (hypercorn: without `-k trio`)"
            ) from None
        # Two event loops, each in a thread of its own, may begin at the same moment.
        with self._starting:
            if self.loop is loop:
                return
            if self.loop is not None and self.loop.is_running():
                raise ConfigurationError(
                    "this app is served by two event loops at once, and its keys are fetched on one"
                    " of them; make an app for each server, or serve both ports from one event loop"
                )
            self.audit.start()
            self._keys.start()
            self.loop = loop
        logger.info("%s", self._introduction())

    def _introduction(self) -> str:
        """Say in one line what this server is called, and which issuers it trusts and why."""
        status = self._keys.status()
        issuers = "; ".join(map(_described, status.issuers)) or "nobody yet"
        log = self._audit_log
        more = "" if status.is_settled else ", and the issuers that discovery finds"
        return (
            f"this server is {', '.join(self.audience)}; it trusts {issuers}{more};"
            f" {'no audit log is kept' if log == OFF else f'the audit log goes to {log}'}"
        )

    async def stop(self) -> None:
        """End background work and write the rest of the audit log, unless that is already done."""
        if self.loop is not asyncio.get_running_loop():
            return
        self.loop = None
        await self.verifier.stop()
        await self._keys.stop()
        await asyncio.to_thread(self.audit.close)

    def trust(self) -> TrustStatus:
        """Return which issuers are trusted and which keys are held."""
        return self._keys.status()

    def answer_to(self, error: AuthorizationError) -> ErrorAnswer:
        """Return the answer for a refused request."""
        return answer_to(error, self._realm)


def _static_keys(settings: Settings) -> Mapping[str, tuple[VerificationKey, ...]]:
    path = settings.static_keys_file
    return {} if path is None else read_static_keys(path, allow_http=settings.allow_http)


def _described(issuer: IssuerStatus) -> str:
    keys = ", ".join(f"{key.kid or 'without kid'} for {key.age:.0f} s" for key in issuer.keys)
    return f"{issuer.url} ({issuer.source}; {f'keys held: {keys}' if keys else 'no keys yet'})"
