"""Each issuer's keys: fetched, refreshed, kept, withdrawn; and whose keys count at all."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import NoReturn, Protocol

from nmos_auth.discovery.directory import Source, sources_for
from nmos_auth.errors import (
    ConfigurationError,
    InvalidToken,
    KeySetError,
    KeysUnavailable,
    Reason,
    TrustError,
)
from nmos_auth.rules.tokens import AccessToken, SignedToken
from nmos_auth.servers.server_metadata import IssuerRules
from nmos_auth.servers.strict_json import JsonObject
from nmos_auth.servers.urls import IssuerUrl, Neighbourhood
from nmos_auth.settings import IssuerPolicy, Settings
from nmos_auth.trust.discovered_issuers import AdvertisedServers
from nmos_auth.trust.fetching import fetch_keys
from nmos_auth.trust.issuers import Allowance, Issuer
from nmos_auth.trust.jwks import VerificationKey
from nmos_auth.trust.keys_file import KeysFile

__all__ = ["DocumentClient", "KeyStore"]

logger = logging.getLogger("nmos_auth")

LONGEST_BACK_OFF = 60.0
MOST_NEIGHBOURS = 16
NEIGHBOUR_FAILURE_MEMORY = 60.0
JITTER = 60.0


class DocumentClient(Protocol):
    """What fetches documents; `transport.HttpClient` is one."""

    async def get_json(self, url: str) -> JsonObject:
        """Fetch a JSON object, or raise FetchError."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class KeyStore:
    """Answers which keys may verify a token, from memory; fetches in the background.

    Args:
        settings: issuers, policy and intervals.
        make_client: gives the client for one run, on the event loop that it runs on.
        kept: the keys file, or None.
        sources: where servers are advertised, in place of what the settings say; read only while
            the settings name no servers.
        monotonic: a clock in seconds that never goes back.

    Raises:
        ConfigurationError: there is nobody to trust, or no means for the discovery asked for.

    No method but `stop` waits for anything. All of them belong to the event loop's thread.
    """

    def __init__(
        self,
        settings: Settings,
        make_client: Callable[[], DocumentClient],
        *,
        kept: KeysFile | None = None,
        sources: Iterable[Source] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._make_client = make_client
        self._kept = kept
        self._monotonic = monotonic
        self._random = random.SystemRandom()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: DocumentClient | None = None
        self._saving = False
        self._unsaved = False
        self._neighbour_allowance = Allowance(settings.refetch_interval)
        self._configured = (*settings.servers, *settings.trusted_issuers)
        self._issuers = {url: self._issuer(url, trusted=True) for url in self._configured}
        self._neighbourhoods = self._with_neighbours(self._issuers.values())
        self._background: set[asyncio.Task[None]] = set()
        self._spare = {} if kept is None else dict(kept.load())
        self._advertised = self._discovery(sources)
        self.withdrawals = 0
        self._take_from_spare()

    def _discovery(self, sources: Iterable[Source] | None) -> AdvertisedServers | None:
        settings = self._settings
        if settings.servers:
            return None
        if sources is None:
            sources = sources_for(
                settings.discovery, settings.dns_domain, dns_servers=settings.dns_servers
            )
        sources = tuple(sources)
        if not sources:
            if not settings.trusted_issuers:
                raise ConfigurationError(
                    "NMOS_AUTH_SERVERS: no Authorization Server is trusted; set it to issuer URLs,"
                    " or NMOS_AUTH_DISCOVERY to unicast, multicast or both"
                )
            return None
        if settings.ca_file is None:
            logger.warning(
                "Authorization Servers are discovered and NMOS_AUTH_CA_FILE is not set: any server"
                " that DNS names and any public certificate authority vouches for is trusted"
            )
        return AdvertisedServers(
            settings, sources, self._spare.keys(), self._members_changed, self._monotonic
        )

    # Background work

    def start(self) -> None:
        """Begin fetching on the running event loop, unless it goes on there already."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._loop = loop
        self._client = self._make_client()
        self._saving = False
        self._background = set()
        for issuer in self._issuers.values():
            issuer.task = None
            issuer.fetching = False
            issuer.wanted = asyncio.Event()
            if issuer.trusted or issuer.ever_had:
                self._fetch_soon(issuer)
        if self._advertised is not None:
            self._advertised.start(self._client.get_json)

    async def stop(self) -> None:
        """End all background work."""
        client, self._client, self._loop = self._client, None, None
        if self._advertised is not None:
            await self._advertised.stop()
        tasks = [each.task for each in self._issuers.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._background, return_exceptions=True)
        if client is not None:
            await client.close()

    # Questions of the verifier

    def candidates(self, issuer_url: str, kid: str | None) -> Sequence[VerificationKey]:
        """Give the held keys that may verify a token of this issuer, the likeliest first.

        IS-10 "Behaviour: Resource Servers": "All valid JWK's SHOULD be tried until the token is
        verified or until no keys are left."
        """
        issuer = self._issuers.get(issuer_url)
        if issuer is None:
            return ()
        if len(issuer.pool) == 1:
            return issuer.pool
        return sorted(issuer.pool, key=lambda key: key.kid != kid)

    def refuse(self, signed: SignedToken) -> None:
        """Refuse a token that no held key verifies, and fetch the missing key if that is allowed.

        Raises:
            KeysUnavailable: the issuer's keys are on their way, or never came yet.
            InvalidToken: there is nothing to wait for.
        """
        token = signed.token
        issuer = self._issuers.get(token.iss) or self._meet(token.iss)
        if issuer is None:
            self._refuse_stranger(token)
        now = self._monotonic()
        if not issuer.fetching and self._may_fetch(issuer, now):
            self._fetch_soon(issuer)
        if issuer.fetching:
            raise KeysUnavailable(Reason.KEYS_PENDING, token=token)
        if issuer.trusted and not issuer.ever_had:
            wait = math.ceil(max(1.0, issuer.next_attempt - now))
            raise KeysUnavailable(Reason.KEYS_NEVER_HAD, retry_after=wait, token=token)
        raise InvalidToken(Reason.SIGNATURE, token=token)

    def _refuse_stranger(self, token: AccessToken) -> NoReturn:
        """Refuse a token of an issuer that is not trusted, or not yet.

        While discovery cannot tell, as at the start, nobody is let in either way; but a 401 would
        make clients throw good tokens away, and a 503 has them come again ("no key of a trusted
        issuer ever had yet"). Once it can tell, the answer is 401. Neither causes any traffic.
        """
        wait = None if self._advertised is None else self._advertised.undecided(token.iss)
        if wait is not None:
            raise KeysUnavailable(Reason.KEYS_NEVER_HAD, retry_after=math.ceil(wait), token=token)
        raise InvalidToken(Reason.UNTRUSTED_ISSUER, token=token)

    # Whose keys count

    def _issuer(self, url: str, *, trusted: bool) -> Issuer:
        rules = IssuerRules(
            allow_http=self._settings.allow_http and trusted,
            allow_openid=url in self._configured,
            own_host_only=not trusted,
        )
        place = IssuerUrl.parse(url, allow_http=rules.allow_http)
        return Issuer(place, rules, trusted, Allowance(self._settings.refetch_interval))

    def _with_neighbours(self, members: Iterable[Issuer]) -> frozenset[Neighbourhood]:
        """Return what an issuer must share with a member to be its neighbour."""
        if self._settings.issuer_policy is not IssuerPolicy.SAME_HOST:
            return frozenset()
        return frozenset(
            each.url.neighbourhood
            for each in members
            if each.trusted and each.url.scheme == "https"
        )

    def _is_neighbour(self, url: str) -> bool:
        try:
            return IssuerUrl.parse(url).neighbourhood in self._neighbourhoods
        except ValueError:
            return False

    def _meet(self, url: str) -> Issuer | None:
        if not self._is_neighbour(url):
            return None
        now = self._monotonic()
        for each in list(self._issuers.values()):
            if each.is_forgettable(now):
                del self._issuers[each.url.text]
        neighbours = sum(not each.trusted for each in self._issuers.values())
        if neighbours >= MOST_NEIGHBOURS or not self._neighbour_allowance.take(now):
            return None
        issuer = self._issuers[url] = self._issuer(url, trusted=False)
        return issuer

    def _may_fetch(self, issuer: Issuer, now: float) -> bool:
        if not issuer.trusted and not issuer.ever_had and now < issuer.next_attempt:
            return False
        return issuer.allowance.take(now)

    def _members_changed(self) -> None:
        """Let those be trusted who are configured or, as of now, advertised and confirmed."""
        assert self._advertised is not None  # noqa: S101 - it is what calls this
        advertised = self._advertised.issuers
        members = {*self._configured, *advertised}
        for issuer in list(self._issuers.values()):
            if issuer.trusted and issuer.url.text not in members:
                self._leave(issuer)
        for url in advertised:
            self._join(url)
        self._neighbourhoods = self._with_neighbours(self._issuers.values())
        for issuer in list(self._issuers.values()):
            if not issuer.trusted and not self._is_neighbour(issuer.url.text):
                self._leave(issuer)
        self._take_from_spare()
        self._unsaved |= bool(self._spare) and self._advertised.settled
        self._keep_soon()

    def _join(self, url: str) -> None:
        known = self._issuers.get(url)
        if known is not None and known.trusted:
            return
        issuer = self._issuers[url] = self._issuer(url, trusted=True)
        if known is not None:
            issuer.keys, issuer.ever_had = known.keys, known.ever_had
            self._end(known)
        logger.info("%s is trusted: it is advertised", url)
        self._fetch_soon(issuer)

    def _leave(self, issuer: Issuer) -> None:
        del self._issuers[issuer.url.text]
        self._end(issuer)
        logger.info("%s is trusted no more", issuer.url)
        if issuer.keys:
            self.withdrawals += 1
            self._unsaved = True

    # Fetching

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _end(self, issuer: Issuer) -> None:
        if issuer.task is not None:
            issuer.task.cancel()
            self._background.add(issuer.task)
            issuer.task.add_done_callback(self._background.discard)

    def _fetch_soon(self, issuer: Issuer) -> None:
        issuer.fetching = True
        issuer.wanted.set()
        if issuer.task is None or issuer.task.done():
            issuer.task = asyncio.get_running_loop().create_task(
                self._maintain(issuer), name=f"nmos_auth keys of {issuer.url}"
            )

    async def _maintain(self, issuer: Issuer) -> None:
        while True:
            issuer.wanted.clear()
            await self._refresh(issuer)
            issuer.fetching = False
            self._keep_soon()
            if not issuer.trusted and not issuer.ever_had:
                return
            try:
                async with asyncio.timeout(issuer.next_attempt - self._monotonic()):
                    await issuer.wanted.wait()
            except TimeoutError:
                issuer.fetching = True

    async def _refresh(self, issuer: Issuer) -> None:
        """Fetch once and set the time of the next fetch."""
        assert self._client is not None  # noqa: S101 - start() made it before any task
        try:
            keys = await fetch_keys(self._client.get_json, issuer.url, issuer.rules)
        except TrustError as error:
            self._failed(issuer, error)
            return
        except Exception as error:  # no document may end the refreshing for good
            logger.exception("unexpected while fetching the keys of %s", issuer.url)
            self._failed(issuer, error)
            return
        if not keys and not issuer.ever_had:
            self._failed(issuer, KeySetError("no key of its set can verify access tokens"))
            return
        if issuer.failures:
            logger.info("the keys of %s can be fetched again", issuer.url)
        issuer.failures = 0
        self._accept(issuer, keys)
        if self._advertised is not None:
            self._advertised.reached(issuer.url.text)
        interval = self._settings.refresh_interval
        pause = interval + self._random.uniform(0, min(JITTER, interval))
        issuer.next_attempt = self._monotonic() + pause

    def _failed(self, issuer: Issuer, error: Exception) -> None:
        now = self._monotonic()
        was_due = issuer.next_attempt <= now
        # A fetch that a token asked for out of turn must not put off the next one that is due.
        if was_due or not issuer.failures:
            issuer.failures += 1
        level = logging.WARNING if issuer.failures == 1 else logging.INFO
        logger.log(level, "no keys from %s: %s; held: %d", issuer.url, error, len(issuer.keys))
        if self._advertised is not None:
            self._advertised.failed(issuer.url.text, error)
        if not issuer.trusted and not issuer.ever_had:
            issuer.next_attempt = now + NEIGHBOUR_FAILURE_MEMORY
            return
        # "the Resource Server MUST implement a randomised back-off mechanism"
        longest = min(LONGEST_BACK_OFF, self._settings.refresh_interval)
        pause = min(longest, 2.0 ** min(issuer.failures - 1, 10)) * self._random.uniform(0.5, 1)
        issuer.next_attempt = now + pause if was_due else min(issuer.next_attempt, now + pause)

    def _accept(self, issuer: Issuer, keys: tuple[VerificationKey, ...]) -> None:
        withdrawn = set(issuer.keys) - set(keys)
        self._unsaved |= keys != issuer.keys
        issuer.keys = keys
        issuer.ever_had = True
        if not keys:
            logger.warning("%s publishes no key that can verify access tokens", issuer.url)
        if withdrawn:
            logger.info("%d keys of %s are withdrawn", len(withdrawn), issuer.url)
            self.withdrawals += 1
        self._pool()

    def _pool(self) -> None:
        # IS-10 "Behaviour: Authorization Servers": servers "SHOULD each host a copy of each
        # other's public keys"; so a member's key counts for every member.
        shared = [key for each in self._issuers.values() if each.trusted for key in each.keys]
        for issuer in self._issuers.values():
            issuer.pool = tuple(dict.fromkeys((*issuer.keys, *(shared if issuer.trusted else ()))))

    # The keys file

    def _keep_soon(self) -> None:
        """Save what has changed, beside the fetching, which a disk that hangs must not hold up."""
        if self._kept is not None and self._unsaved and not self._saving:
            self._saving = True
            self._run(self._keep(self._kept))

    async def _keep(self, kept: KeysFile) -> None:
        while self._unsaved:
            self._unsaved = False
            held = {each.url.text: each.keys for each in self._issuers.values() if each.keys}
            if self._advertised is not None and not self._advertised.settled:
                held = {**self._spare, **held}
            if not await asyncio.to_thread(kept.save, held):
                self._unsaved = True  # the next refresh tries again
                break
        self._saving = False

    def _take_from_spare(self) -> None:
        """Give those issuers their kept keys that count by now and never had any.

        The file says what keys an issuer has, and never whom to trust: what was trusted because
        it was advertised counts again as soon as DNS advertises it again, server or no server.
        """
        for url in list(self._spare):
            if url not in self._issuers and self._is_neighbour(url):
                self._issuers[url] = self._issuer(url, trusted=False)
            issuer = self._issuers.get(url)
            if issuer is not None:
                keys = self._spare.pop(url)
                if keys and not issuer.ever_had:
                    issuer.keys, issuer.ever_had = keys, True
        self._pool()
