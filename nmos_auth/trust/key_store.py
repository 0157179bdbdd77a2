"""The keys that verify tokens: held in memory, fetched in the background, kept over restarts."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn, Protocol

from nmos_auth.discovery.directory import Source as DiscoverySource
from nmos_auth.discovery.directory import sources_for
from nmos_auth.errors import ConfigurationError, Detail, InvalidToken, KeysUnavailable, Reason
from nmos_auth.rules.access_token import AccessToken
from nmos_auth.rules.tokens import SignedToken
from nmos_auth.servers.answers import Document
from nmos_auth.servers.backoff import Uniform
from nmos_auth.settings import Settings
from nmos_auth.trust.details import clock_detail, lacking_key, unknown_issuer
from nmos_auth.trust.discovered_issuers import DiscoveredIssuers
from nmos_auth.trust.fetching import Fetcher, PendingFetch
from nmos_auth.trust.finality import FirstSeen
from nmos_auth.trust.holdings import Holdings
from nmos_auth.trust.issuers import Issuer
from nmos_auth.trust.jwks import VerificationKey
from nmos_auth.trust.keeping import InThread, Keeper, KeysStorage
from nmos_auth.trust.membership import Membership
from nmos_auth.trust.neighbours import Newcomers
from nmos_auth.trust.planning import FetchPlan
from nmos_auth.trust.published import Published, Unpublished, fetch_keys
from nmos_auth.trust.status import TrustStatus, status_of

__all__ = ["DocumentClient", "KeyStore"]

logger = logging.getLogger("nmos_auth")


class DocumentClient(Protocol):
    """What fetches documents; `http.HttpClient` is one."""

    async def get_document(self, url: str) -> Document:
        """Fetch a JSON object, or raise FetchError."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class KeyStore:
    """Says from memory which keys may verify a token, and fetches keys in the background.

    Args:
        settings: issuers, policy and intervals.
        make_client: returns the client for one run, on the event loop that it runs on.
        kept: where keys are kept over restarts, or None.
        static_keys: the keys of issuers that are trusted and never asked.
        sources: where servers are advertised, in place of what the settings say; read only while
            the settings name no servers.
        monotonic: seconds of a clock that never goes back.
        clock: seconds since 1970 UTC.
        uniform: returns a random number between two.
        in_thread: runs a function that may wait for a disk, outside the event loop.

    Attributes:
        withdrawals: how often keys were withdrawn; tokens verified before may be invalid now.

    Raises:
        ConfigurationError: no issuer is trusted, or a package that discovery needs is missing.

    No method but `stop` waits for anything. All of them belong to the event loop's thread.
    """

    def __init__(  # noqa: PLR0913 - what is not pure is passed in
        self,
        settings: Settings,
        make_client: Callable[[], DocumentClient],
        *,
        kept: KeysStorage | None = None,
        static_keys: Mapping[str, tuple[VerificationKey, ...]] | None = None,
        sources: Iterable[DiscoverySource] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
        uniform: Uniform = random.uniform,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._make_client = make_client
        self._monotonic = monotonic
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: DocumentClient | None = None
        self._members = Membership(settings, static_keys or {}, uniform, now=monotonic())
        self._newcomers = Newcomers(settings.refetch_interval)
        self._keeper = Keeper(kept, in_thread)
        self.withdrawals = 0
        self._holdings = Holdings(
            self._members,
            self._newcomers,
            self._keeper,
            monotonic=monotonic,
            clock=clock,
            on_withdrawal=self._count_withdrawal,
        )
        plan = FetchPlan(self._members, self._newcomers)
        self._fetcher = Fetcher(plan, self._fetch, self._ended, monotonic)
        self._first_seen = FirstSeen()
        self._discovered = self._discovery(settings, sources, uniform)
        self._holdings.restore()

    def _discovery(
        self, settings: Settings, sources: Iterable[DiscoverySource] | None, uniform: Uniform
    ) -> DiscoveredIssuers | None:
        if settings.servers:
            return None
        if sources is None:
            sources = sources_for(
                settings.discovery, settings.dns_domain, dns_servers=settings.dns_servers
            )
        sources = tuple(sources)
        if not sources:
            if not any(True for _ in self._members):
                raise ConfigurationError(
                    "NMOS_AUTH_SERVERS: no Authorization Server is trusted; set it to issuer URLs,"
                    " or NMOS_AUTH_DISCOVERY to unicast, multicast or both"
                )
            return None
        if settings.ca_file is None:
            logger.warning(
                "Authorization Servers are discovered and NMOS_AUTH_CA_FILE is not set: every"
                " server is trusted that DNS names and that has a certificate of a public"
                " certificate authority"
            )
        return DiscoveredIssuers(
            settings,
            sources,
            self._keeper.waiting,
            self._advertised,
            self._monotonic,
            uniform,
        )

    # Background work

    def start(self) -> None:
        """Begin fetching on the running event loop, unless it has already begun there."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._loop = loop
        self._client = self._make_client()
        self._keeper.restart()
        self._newcomers.restart()
        for issuer in self._members:
            issuer.schedule.restart()
        self._fetcher.start()
        if self._discovered is not None:
            self._discovered.start(self._client.get_document)

    async def stop(self) -> None:
        """End all background work; what is known stays known."""
        client, self._client, self._loop = self._client, None, None
        if self._discovered is not None:
            await self._discovered.stop()
        await self._fetcher.stop()
        await self._keeper.stop()
        if client is not None:
            await client.aclose()

    # Questions of the verifier

    def candidates(self, issuer_url: str, kid: str | None) -> tuple[VerificationKey, ...]:
        """Return the held keys that may verify a token of this issuer, the likeliest first.

        IS-10 "Behaviour: Resource Servers": "All valid JWK's SHOULD be tried until the token is
        verified or until no keys are left."
        """
        issuer = self._members.get(issuer_url)
        if issuer is None:
            return ()
        if len(issuer.pool) < 2:
            return issuer.pool
        return tuple(sorted(issuer.pool, key=lambda key: key.kid != kid))

    def refuse(self, signed: SignedToken, text: bytes, peer: str) -> NoReturn:
        """Refuse a token that no held key verifies, and fetch its key if that may be missing.

        Args:
            signed: the token.
            text: the same, as it came.
            peer: the address it came from.

        Raises:
            KeysUnavailable: the issuer, or a server with a copy of its keys, is or will be asked.
            InvalidToken: the refusal is final.
        """
        token, now = signed.token, self._monotonic()
        issuer = self._members.get(token.iss)
        if issuer is None:
            if not self._members.is_neighbour(token.iss):
                self._refuse_stranger(token)
            self._refuse_newcomer(token, text, peer, now)
        detail = lacking_key(issuer, signed)
        if not issuer.is_fetched:
            raise InvalidToken(Reason.SIGNATURE, token=token, detail=detail)
        seen = self._seen_after_last_fetch(issuer, token, text, now)
        if seen is None:
            # What the server gave may have been an old copy.
            issuer.schedule.want_if_idle(now)
            self._fetcher.wake()
            raise InvalidToken(Reason.SIGNATURE, token=token, detail=detail)
        issuer.schedule.want(seen, signed)
        asked = [issuer]
        if issuer.schedule.failures:
            asked += self._members.others(issuer)
            for each in asked[1:]:
                each.schedule.want_copy()
        self._fetcher.wake()
        reason = Reason.KEYS_PENDING if issuer.has_had_keys else Reason.KEYS_NEVER_HAD
        wait = min(each.schedule.retry_after(now) for each in asked)
        raise KeysUnavailable(reason, retry_after=wait, token=token, detail=detail)

    def _seen_after_last_fetch(
        self, issuer: Issuer, token: AccessToken, text: bytes, now: float
    ) -> int | None:
        """Return which fetch had begun when the token was first seen; None if the answer is final.

        The answer is final if a successful fetch of the issuer's keys began after that, or if the
        token was issued long before such a fetch.
        """
        last = issuer.last_fetch
        if last is not None and last.knew_keys_of(token.iat, date=self._clock(), now=now):
            return None
        seen = self._first_seen.begun(text, self._fetcher.begun)
        return None if last is not None and last.began_after(seen) else seen

    def _refuse_stranger(self, token: AccessToken) -> NoReturn:
        """Refuse a token of an issuer that is not trusted, or not trusted yet.

        While discovery cannot tell, as at the start, or while the metadata of a configured server
        of the same origin has not been read, the answer is 503: a 401 would make clients throw good
        tokens away. Once it is known, the answer is 401. None of them causes any traffic.
        """
        detail = unknown_issuer(token.iss, self._members)
        configured = self._members.unread_issuer(token.iss)
        if configured is not None:
            detail = detail.plus("it is not known yet whether that server names it")
            retry_after = configured.schedule.retry_after(self._monotonic())
            raise KeysUnavailable(
                Reason.KEYS_NEVER_HAD, retry_after=retry_after, token=token, detail=detail
            )
        wait = None if self._discovered is None else self._discovered.undecided(token.iss)
        if wait is not None:
            detail = detail.plus("it is not known yet whether it is advertised")
            raise KeysUnavailable(
                Reason.KEYS_NEVER_HAD, retry_after=math.ceil(wait), token=token, detail=detail
            )
        raise InvalidToken(Reason.UNTRUSTED_ISSUER, token=token, detail=detail)

    def _refuse_newcomer(self, token: AccessToken, text: bytes, peer: str, now: float) -> NoReturn:
        """Refuse a token of a neighbour that was never confirmed, and ask it when its turn comes.

        The answer is 401 for a minute after the neighbour has answered with something else than its
        own metadata and keys; otherwise it is 503.
        """
        self._first_seen.begun(text, self._fetcher.begun)
        wait = self._newcomers.retry_after(token.iss, peer, now)
        self._fetcher.wake()
        detail = unknown_issuer(token.iss, self._members)
        if wait is None:
            detail = detail.plus(
                "it was asked as a neighbour of one of them, and was not confirmed"
            )
            raise InvalidToken(Reason.UNTRUSTED_ISSUER, token=token, detail=detail)
        detail = detail.plus("it is asked as a neighbour of one of them, or will be")
        raise KeysUnavailable(Reason.KEYS_PENDING, retry_after=wait, token=token, detail=detail)

    def with_clock(self, detail: Detail | None, issuer_url: str) -> Detail | None:
        """Return a complaint about a token's time, with what is known of its issuer's clock."""
        return clock_detail(detail, self._members.get(issuer_url))

    # Questions of operators

    def status(self) -> TrustStatus:
        """Return what is known of the trusted issuers and their confirmed neighbours."""
        now = self._monotonic()
        issuers = sorted(self._members, key=lambda each: each.is_neighbour)
        return TrustStatus(
            tuple(status_of(each, now) for each in issuers),
            self._discovered is None or self._discovered.settled,
        )

    # What the background work tells

    async def _fetch(self, issuer: Issuer) -> Published | Unpublished:
        assert self._client is not None  # noqa: S101 - start() made it before any fetch
        return await fetch_keys(self._client.get_document, issuer.url, issuer.rules)

    def _ended(self, fetch: PendingFetch[Issuer], outcome: Published | Unpublished) -> None:
        issuer = fetch.place
        error = self._holdings.take(issuer, outcome, number=fetch.number, began=fetch.began)
        if self._discovered is not None:
            if error is None:
                self._discovered.reached(issuer.url.text)
            else:
                self._discovered.failed(issuer.url.text, error)
        self._settle()

    def _count_withdrawal(self) -> None:
        self.withdrawals += 1

    def _advertised(self) -> None:
        """Trust the issuers that are advertised and confirmed now."""
        assert self._discovered is not None  # noqa: S101 - it is what calls this
        self._holdings.changed(*self._members.advertise(self._discovered.issuers))
        self._settle()

    def _settle(self) -> None:
        """Do what follows from a change of the trusted issuers or of their keys."""
        if self._discovered is None or self._discovered.settled:
            self._keeper.settle()
        self._keeper.save_soon(self._holdings.held)
        self._fetcher.wake()
