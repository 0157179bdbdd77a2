"""Each issuer's keys: fetched, refreshed, kept, withdrawn; and whose keys count at all."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nmos_auth.discovery import IssuerRules, fetch_keys, host_of
from nmos_auth.errors import InvalidToken, KeySetError, KeysUnavailable, Reason, TrustError
from nmos_auth.jwks import VerificationKey
from nmos_auth.keys_file import KeysFile
from nmos_auth.settings import IssuerPolicy, Settings, is_issuer_url
from nmos_auth.strict_json import JsonObject
from nmos_auth.tokens import SignedToken

__all__ = ["DocumentClient", "KeyStore"]

logger = logging.getLogger("nmos_auth")

BURST = 3
LONGEST_BACK_OFF = 60.0
MOST_NEIGHBOURS = 16
NEIGHBOUR_FAILURE_MEMORY = 60.0
JITTER = 60.0


class DocumentClient(Protocol):
    """What fetches documents; `transport.JsonClient` is one."""

    async def get_json(self, url: str) -> JsonObject:
        """Fetch a JSON object, or raise FetchError."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


@dataclass(slots=True)
class Allowance:
    """So many at once, then one an interval."""

    interval: float
    left: float = BURST
    counted_at: float = -math.inf

    def take(self, now: float) -> bool:
        """Take one, if there is one, at `now` on a monotonic clock in seconds."""
        self.left = min(BURST, self.left + (now - self.counted_at) / self.interval)
        self.counted_at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(slots=True, eq=False)
class Issuer:
    """What is known of one issuer.

    Attributes:
        url: the issuer identifier.
        rules: what holds for fetching from it.
        trusted: a member of the trusted issuers, rather than a neighbour on a member's host.
        keys: what it publishes, as of the last good fetch.
        pool: the keys that verify its tokens: its own first, then the other members' if it is one.
        ever_had: whether any fetch, or the keys file, ever gave its keys.
        fetching: whether a fetch is under way or about to be.
        next_attempt: when the next fetch is due, on the monotonic clock.
    """

    url: str
    rules: IssuerRules
    trusted: bool
    allowance: Allowance
    keys: tuple[VerificationKey, ...] = ()
    pool: tuple[VerificationKey, ...] = ()
    ever_had: bool = False
    fetching: bool = False
    failures: int = 0
    next_attempt: float = -math.inf
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def is_forgettable(self, now: float) -> bool:
        """Tell whether this is a neighbour whose failure has been remembered long enough."""
        return not (self.trusted or self.ever_had or self.fetching) and self.next_attempt <= now


class KeyStore:
    """Answers which keys may verify a token, from memory; fetches in the background.

    Args:
        settings: issuers, policy and intervals.
        make_client: gives the client for one run, on the event loop that it runs on.
        kept: the keys file, or None.
        monotonic: a clock in seconds that never goes back.

    No method but `stop` waits for anything. All of them belong to the event loop's thread.
    """

    def __init__(
        self,
        settings: Settings,
        make_client: Callable[[], DocumentClient],
        *,
        kept: KeysFile | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._make_client = make_client
        self._kept = kept
        self._monotonic = monotonic
        self._random = random.SystemRandom()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: DocumentClient | None = None
        self._saving = asyncio.Lock()
        self._unsaved = False
        self._neighbour_allowance = Allowance(settings.refetch_interval)
        self._issuers: dict[str, Issuer] = {}
        for url in (*settings.servers, *settings.trusted_issuers):
            self._issuers.setdefault(url, self._issuer(url, trusted=True))
        self._hosts = {host_of(url) for url in self._issuers}
        self.withdrawals = 0
        if kept is not None:
            self._restore(kept)

    # Background work

    def start(self) -> None:
        """Begin fetching on the running event loop, unless it goes on there already."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        self._loop = loop
        self._client = self._make_client()
        self._saving = asyncio.Lock()
        for issuer in self._issuers.values():
            issuer.task = None
            issuer.fetching = False
            issuer.wanted = asyncio.Event()
            if issuer.url in self._settings.servers or issuer.ever_had:
                self._fetch_soon(issuer)

    async def stop(self) -> None:
        """End all background work."""
        tasks = [each.task for each in self._issuers.values() if each.task is not None]
        client, self._client, self._loop = self._client, None, None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
            raise InvalidToken(Reason.UNTRUSTED_ISSUER, token=token)
        now = self._monotonic()
        if not issuer.fetching and self._may_fetch(issuer, now):
            self._fetch_soon(issuer)
        if issuer.fetching:
            raise KeysUnavailable(Reason.KEYS_PENDING, token=token)
        if issuer.trusted and not issuer.ever_had:
            wait = math.ceil(max(1.0, issuer.next_attempt - now))
            raise KeysUnavailable(Reason.KEYS_NEVER_HAD, retry_after=wait, token=token)
        raise InvalidToken(Reason.SIGNATURE, token=token)

    # Whose keys count

    def _issuer(self, url: str, *, trusted: bool) -> Issuer:
        rules = IssuerRules(
            allow_http=self._settings.allow_http and trusted,
            allow_openid=trusted,
            own_host_only=not trusted,
        )
        return Issuer(url, rules, trusted, Allowance(self._settings.refetch_interval))

    def _is_neighbour(self, url: str) -> bool:
        return (
            self._settings.issuer_policy is IssuerPolicy.SAME_HOST
            and is_issuer_url(url)
            and host_of(url) in self._hosts
        )

    def _meet(self, url: str) -> Issuer | None:
        if not self._is_neighbour(url):
            return None
        now = self._monotonic()
        for each in list(self._issuers.values()):
            if each.is_forgettable(now):
                del self._issuers[each.url]
        neighbours = sum(not each.trusted for each in self._issuers.values())
        if neighbours >= MOST_NEIGHBOURS or not self._neighbour_allowance.take(now):
            return None
        issuer = self._issuers[url] = self._issuer(url, trusted=False)
        return issuer

    def _may_fetch(self, issuer: Issuer, now: float) -> bool:
        if not issuer.trusted and not issuer.ever_had and now < issuer.next_attempt:
            return False
        return issuer.allowance.take(now)

    # Fetching

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
            await self._keep()
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

    async def _keep(self) -> None:
        async with self._saving:
            if self._kept is not None and self._unsaved:
                self._unsaved = False
                held = {each.url: each.keys for each in self._issuers.values() if each.keys}
                await asyncio.to_thread(self._kept.save, held)

    def _restore(self, kept: KeysFile) -> None:
        for url, keys in kept.load().items():
            if url not in self._issuers and self._is_neighbour(url):
                self._issuers[url] = self._issuer(url, trusted=False)
            issuer = self._issuers.get(url)
            if issuer is not None and keys:
                issuer.keys, issuer.ever_had = keys, True
        self._pool()
