"""Whose keys are valid: the trusted issuers and their neighbours. Pure, except for the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from nmos_auth.servers.backoff import Uniform
from nmos_auth.servers.server_metadata import IssuerRules
from nmos_auth.servers.urls import IssuerUrl, Neighbourhood
from nmos_auth.settings import IssuerPolicy, Settings
from nmos_auth.trust.issuers import Issuer, Source
from nmos_auth.trust.jwks import VerificationKey
from nmos_auth.trust.many_keys import AT_ONCE, cost_of
from nmos_auth.trust.schedule import Schedule

__all__ = ["Membership"]

logger = logging.getLogger("nmos_auth")


class Membership:
    """The issuers whose keys are valid now.

    Members are the issuers that the settings name, those that are advertised, and those that
    metadata at a configured place names. A neighbour of a member is held once it is confirmed.

    Args:
        settings: issuers, policy and intervals.
        static_keys: the keys of issuers that are never asked.
        uniform: returns a random number between two.
        now: the time since which these keys are held, on the clock by which fetches are timed.
    """

    def __init__(
        self,
        settings: Settings,
        static_keys: Mapping[str, tuple[VerificationKey, ...]],
        uniform: Uniform,
        *,
        now: float,
    ) -> None:
        self._settings = settings
        self._uniform = uniform
        self._issuers: dict[str, Issuer] = {}
        self._configured = dict.fromkeys(settings.servers, Source.SERVERS)
        for url in settings.trusted_issuers:
            self._configured.setdefault(url, Source.TRUSTED_ISSUERS)
        self._configured |= dict.fromkeys(static_keys, Source.STATIC_KEYS)
        for url, source in self._configured.items():
            self._issuers[url] = self.new(url, source)
        for url, keys in static_keys.items():
            self._issuers[url].hold(keys, now)
        self._named: dict[str, str] = {}
        self._advertised: dict[str, str] = {}
        self._neighbourhoods: frozenset[Neighbourhood] = frozenset()
        self._many = False
        self.draw()

    def new(self, url: str, source: Source, *, allow_openid: bool | None = None) -> Issuer:
        """Return a new issuer, which is not held yet."""
        neighbour = source is Source.SAME_HOST
        rules = IssuerRules(
            allow_http=self._settings.allow_http and not neighbour,
            allow_openid=not neighbour and source is not Source.DISCOVERY
            if allow_openid is None
            else allow_openid,
            own_host_only=neighbour,
        )
        settings = self._settings
        return Issuer(
            IssuerUrl.parse(url, allow_http=rules.allow_http),
            rules,
            source,
            Schedule(settings.refresh_interval, settings.refetch_interval, self._uniform),
        )

    # Who is who

    def __iter__(self) -> Iterator[Issuer]:
        return iter(self._issuers.values())

    def get(self, url: str) -> Issuer | None:
        """Return a member or a confirmed neighbour."""
        return self._issuers.get(url)

    def holds(self, issuer: Issuer) -> bool:
        """Tell whether this very issuer is still held, and not another one with its name."""
        return self._issuers.get(issuer.url.text) is issuer

    def is_neighbour(self, url: str) -> bool:
        """Tell whether an issuer, held or not, differs from an https member in its port only."""
        try:
            return IssuerUrl.parse(url).neighbourhood in self._neighbourhoods
        except ValueError:
            return False

    def others(self, issuer: Issuer) -> list[Issuer]:
        """Return the other members that may have copies of a member's keys, and can be asked.

        IS-10 "Behaviour: Authorization Servers": servers "SHOULD each host a copy of each other's
        public keys".
        """
        if not issuer.is_member:
            return []
        return [
            each
            for each in self._issuers.values()
            if each is not issuer and each.is_member and each.is_fetched
        ]

    # Who comes and goes

    def admit(self, neighbour: Issuer) -> None:
        """Hold a neighbour that is confirmed."""
        self._issuers[neighbour.url.text] = neighbour

    def drop(self, issuer: Issuer) -> None:
        """Stop holding an issuer."""
        del self._issuers[issuer.url.text]

    def advertise(self, issuers: Mapping[str, str]) -> tuple[list[Issuer], list[Issuer]]:
        """Hold the issuers that are advertised and confirmed now, beside those of the settings.

        Args:
            issuers: the advertised RFC 8414 place whose metadata names each issuer.

        Returns:
            The issuers that have come, and those that have gone.
        """
        self._advertised = dict(issuers)
        return self._update()

    def name(self, configured: str, issuer: str | None) -> tuple[list[Issuer], list[Issuer]]:
        """Hold the issuer that the metadata of a configured one names instead of it.

        Args:
            configured: the configured issuer.
            issuer: the issuer that its metadata names; None where it names no other.

        Returns:
            The issuers that have come, and those that have gone.
        """
        if self._named.get(configured) == issuer:
            return [], []
        if issuer is None:
            del self._named[configured]
        else:
            self._named[configured] = issuer
        return self._update()

    def names(self, issuer: str) -> list[str]:
        """Return the configured issuers whose metadata names this one instead."""
        return [configured for configured, named in self._named.items() if named == issuer]

    def places_of(self, issuer: Issuer) -> tuple[str, ...]:
        """Return the places whose metadata names an issuer, which is trusted because of that."""
        url = issuer.url.text
        places = [IssuerUrl.parse(each, allow_http=True).metadata_url for each in self.names(url)]
        if (advertised := self._advertised.get(url)) is not None:
            places.append(advertised)
        return tuple(places)

    def unread_issuer(self, url: str) -> Issuer | None:
        """Return a configured issuer of the same origin that may name this one and was never read.

        Until its metadata is read, it is not known whether the other issuer is trusted.
        """
        try:
            origin = IssuerUrl.parse(url, allow_http=self._settings.allow_http).origin
        except ValueError:
            return None
        return next(
            (
                each
                for each in self._issuers.values()
                if each.source is Source.SERVERS
                and each.url.origin == origin
                and not each.has_had_keys
                and (each.url.text not in self._named or each.last_fetch is None)
            ),
            None,
        )

    def draw(self) -> None:
        """Determine whose keys verify whose tokens, after any of them has changed."""
        self._neighbourhoods = frozenset(
            each.url.neighbourhood
            for each in self._issuers.values()
            if each.is_member and each.url.scheme == "https"
            if self._settings.issuer_policy is IssuerPolicy.SAME_HOST
        )
        members = [each for each in self._issuers.values() if each.is_member]
        shared = [key for each in members for key in each.keys]
        for issuer in self._issuers.values():
            theirs = shared if issuer.is_member else ()
            issuer.pool = tuple(dict.fromkeys((*issuer.keys, *theirs)))
        self._warn_of_many()

    def _warn_of_many(self) -> None:
        most = max((each.pool for each in self._issuers.values()), key=cost_of, default=())
        many = cost_of(most) > AT_ONCE
        if many and not self._many:
            logger.warning(
                "%d keys are trusted, more than are tried on a token at once: a token whose `kid`"
                " does not name its key is answered 503 until all of them have been tried",
                len(most),
            )
        self._many = many

    def _update(self) -> tuple[list[Issuer], list[Issuer]]:
        wanted = dict(self._configured)
        for url in self._named.values():
            wanted.setdefault(url, Source.METADATA)
        for url in self._advertised:
            wanted.setdefault(url, Source.DISCOVERY)
        come, gone = [], []
        for issuer in list(self._issuers.values()):
            url = issuer.url.text
            if not issuer.is_neighbour and wanted.get(url) is not issuer.source:
                self.drop(issuer)
                gone.append(issuer)
        for url, source in wanted.items():
            known = self._issuers.get(url)
            if known is not None and not known.is_neighbour:
                continue
            self._issuers[url] = issuer = self.new(
                url, source, allow_openid=not self._is_advertised_itself(url)
            )
            if known is not None:
                issuer.keys, issuer.held_since = known.keys, known.held_since
                issuer.has_had_keys, issuer.last_fetch = known.has_had_keys, known.last_fetch
                issuer.confirmed_at = known.confirmed_at
                gone.append(known)
            come.append(issuer)
        self.draw()
        for issuer in list(self._issuers.values()):
            if issuer.is_neighbour and not self.is_neighbour(issuer.url.text):
                self.drop(issuer)
                gone.append(issuer)
        return come, gone

    def _is_advertised_itself(self, url: str) -> bool:
        """Tell whether an issuer's own metadata is where an advertisement says."""
        place = self._advertised.get(url)
        return place is not None and IssuerUrl.parse(url, allow_http=True).has_metadata_at(place)
