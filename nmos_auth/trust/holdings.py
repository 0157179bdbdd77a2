"""The keys that fetches and files give: how they are held, withdrawn and forgotten."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from nmos_auth.errors import KeySetError
from nmos_auth.trust.finality import LastFetch
from nmos_auth.trust.issuers import Issuer, Source
from nmos_auth.trust.keeping import LONGEST_ABSENCE, Keeper, is_recent, named_before
from nmos_auth.trust.keys_file import KeptIssuer, KeptKeys
from nmos_auth.trust.membership import Membership
from nmos_auth.trust.neighbours import Newcomers
from nmos_auth.trust.published import Published, Unpublished

__all__ = ["Holdings"]

logger = logging.getLogger("nmos_auth")


class Holdings:
    """The keys that are held of members and of confirmed neighbours.

    A failed fetch never loses a member's keys. A successful one withdraws the keys that are gone. A
    neighbour is held as long as its own metadata says that it is an issuer, since nothing else
    confirms that.

    Args:
        members: whose keys are valid.
        newcomers: neighbours that were never confirmed.
        keeper: keeps keys over restarts.
        monotonic: seconds of a clock that never goes back.
        clock: seconds since 1970 UTC.
        on_withdrawal: called when a key is withdrawn: tokens that it verified are invalid now.
    """

    def __init__(
        self,
        members: Membership,
        newcomers: Newcomers,
        keeper: Keeper,
        *,
        monotonic: Callable[[], float],
        clock: Callable[[], float],
        on_withdrawal: Callable[[], None],
    ) -> None:
        self._members = members
        self._newcomers = newcomers
        self._keeper = keeper
        self._monotonic = monotonic
        self._clock = clock
        self._on_withdrawal = on_withdrawal

    # What a fetch gives

    def take(
        self, issuer: Issuer, outcome: Published | Unpublished, *, number: int, began: float
    ) -> Exception | None:
        """Record what a fetch gave, or why it gave nothing.

        Args:
            issuer: whose keys were fetched.
            outcome: what came of it.
            number: its number among all fetches.
            began: when it began, on the monotonic clock.

        Returns:
            Why it gave no keys, or None where it did.
        """
        if isinstance(outcome, Published):
            _report(issuer, outcome.key_set.passed_over)
            if not outcome.key_set.keys and not issuer.has_had_keys:
                outcome = Unpublished(
                    KeySetError("no key of its set can verify access tokens"), "keys"
                )
        if isinstance(outcome, Unpublished):
            self._failed(issuer, outcome, LastFetch(number, began, None))
            return outcome.error
        if self._admit(issuer):
            now, date = self._monotonic(), self._clock()
            if issuer.error is not None:
                logger.info("the keys of %s can be fetched again", issuer.url)
            issuer.error = None
            issuer.schedule.succeeded(now, outcome.key_set.keys)
            issuer.last_fetch = LastFetch(number, began, outcome.date)
            issuer.clock_offset = outcome.offset_from(date)
            issuer.confirmed_at = now
            self._hold(issuer, outcome)
            self._keeper.confirmed(issuer.url.text, date)
        return None

    def _admit(self, issuer: Issuer) -> bool:
        if issuer.is_neighbour and not self._members.holds(issuer):
            self._newcomers.forget(issuer.url.text)
            if not self._members.is_neighbour(issuer.url.text):
                return False  # the member has gone in the meantime
            self._members.admit(issuer)
            logger.info("%s is accepted: a trusted issuer is on another port", issuer.url)
        return True

    def _hold(self, issuer: Issuer, published: Published) -> None:
        keys, was_member = published.key_set.keys, issuer.is_member
        if keys != issuer.keys:
            self._keeper.changed()
        if issuer.hold(keys, self._monotonic()):
            logger.info("%s has withdrawn keys", issuer.url)
            self._on_withdrawal()
        if not was_member:
            self._warn_of_settings(issuer)
        self.changed(*self._members.name(issuer.url.text, None))

    def _warn_of_settings(self, issuer: Issuer) -> None:
        for configured in self._members.names(issuer.url.text):
            logger.warning(
                "NMOS_AUTH_SERVERS: the metadata of %s names %s, which is trusted instead;"
                " set the variable to that URL",
                configured,
                issuer.url,
            )

    def _failed(self, issuer: Issuer, failure: Unpublished, fetch: LastFetch) -> None:
        now, url = self._monotonic(), issuer.url.text
        text = str(failure.error) or failure.error.__class__.__name__
        known = issuer.error == text
        issuer.error = text
        if issuer.is_neighbour and not self._members.holds(issuer):
            logger.info("no keys were fetched from %s: %s", issuer.url, text)
            self._newcomers.ended(url, answered=failure.answered, now=now)
            return
        level = logging.INFO if known else logging.WARNING
        logger.log(level, "no keys from %s: %s; held: %d", issuer.url, text, len(issuer.keys))
        if issuer.source is Source.SERVERS and failure.answered:
            self.changed(*self._members.name(url, failure.names))
        if failure.names is not None and issuer.source is Source.SERVERS:
            # It has answered that it is not an issuer itself, so it has no keys of its own.
            issuer.last_fetch = fetch
            issuer.schedule.succeeded(now)
            return
        issuer.schedule.failed(now)
        absent = now - issuer.confirmed_at >= LONGEST_ABSENCE
        if issuer.is_neighbour and (failure.disowned or absent):
            self._members.drop(issuer)
            self.changed((), (issuer,))
            self._newcomers.ended(url, answered=failure.answered, now=now)

    # Who comes and goes

    def changed(self, come: Iterable[Issuer], gone: Iterable[Issuer]) -> None:
        """Record that issuers have come, that others have gone, or that keys have changed."""
        for issuer in gone:
            if self._members.get(issuer.url.text) is None:
                logger.info("%s is no longer trusted", issuer.url)
                if issuer.keys:
                    self._on_withdrawal()
                    self._keeper.changed()
        self._newcomers.retain(self._members.is_neighbour)
        for issuer in come:
            self._newcomers.forget(issuer.url.text)
            if issuer.source is Source.DISCOVERY:
                logger.info("%s is trusted: it is advertised", issuer.url)
            elif issuer.source is Source.METADATA and issuer.is_member:
                # It was a neighbour before.
                self._warn_of_settings(issuer)
        self.take_kept()

    # Keys over restarts

    def held(self) -> KeptKeys:
        """Return what a restart should find."""
        ahead = self._clock() - self._monotonic()
        return {
            each.url.text: KeptIssuer(
                each.keys, each.confirmed_at + ahead, self._members.places_of(each)
            )
            for each in self._members
            if each.keys and each.is_fetched
        }

    def restore(self) -> None:
        """Hold what was kept of the issuers that the settings or the servers in them named."""
        for configured in list(self._members):
            if configured.source is Source.SERVERS:
                named = named_before(
                    self._keeper.waiting,
                    configured.url.metadata_url,
                    allow_http=configured.rules.allow_http,
                )
                if named is not None:
                    self._members.name(configured.url.text, named.text)
        self.take_kept()
        self.take_kept()  # the neighbours of those that are members since then

    def take_kept(self) -> None:
        """Hold the kept keys of issuers that are trusted now and have had no keys yet.

        An issuer that was trusted because it was advertised is trusted again as soon as DNS
        advertises it again, whether its server answers or not.
        """
        now, date = self._monotonic(), self._clock()
        for url, kept in list(self._keeper.waiting.items()):
            issuer = self._members.get(url)
            if issuer is None and self._members.is_neighbour(url):
                if not is_recent(kept.confirmed, date):
                    self._keeper.take(url)
                    continue
                issuer = self._members.new(url, Source.SAME_HOST)
                self._members.admit(issuer)
            if issuer is not None:
                self._keeper.take(url)
                if kept.keys and not issuer.has_had_keys:
                    issuer.hold(kept.keys, now)
                    issuer.confirmed_at = now - (date - kept.confirmed)
                    self._warn_of_settings(issuer)
        self._members.draw()


def _report(issuer: Issuer, passed_over: tuple[str, ...]) -> None:
    if passed_over and passed_over != issuer.passed_over:
        logger.warning("some keys of %s cannot be used: %s", issuer.url, "; ".join(passed_over))
    issuer.passed_over = passed_over
