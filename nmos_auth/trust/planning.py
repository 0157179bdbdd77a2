"""Which issuers are asked for keys, and when. Pure: the time is passed in."""

from __future__ import annotations

import math

from nmos_auth.trust.issuers import Issuer, Source
from nmos_auth.trust.membership import Membership
from nmos_auth.trust.neighbours import MOST_AT_ONCE, MOST_CONFIRMED, Newcomers

__all__ = ["FetchPlan"]


class FetchPlan:
    """Members are asked when they are due, neighbours three at a time and confirmed ones first.

    Args:
        membership: members and confirmed neighbours.
        newcomers: neighbours that were never confirmed.
    """

    def __init__(self, membership: Membership, newcomers: Newcomers) -> None:
        self._membership = membership
        self._newcomers = newcomers

    def due(self, now: float) -> list[Issuer]:
        """Return the issuers that are to be asked now."""
        due = [each for each in self._membership if _is_due(each, now)]
        confirmed = sorted(
            (each for each in due if each.is_neighbour),
            key=lambda each: each.schedule.next_fetch(now),
        )
        free = self._free()
        asked = confirmed[:free]
        while len(asked) < free and self.has_room:
            url = self._newcomers.take(now)
            if url is None:
                break
            asked.append(self._membership.new(url, Source.SAME_HOST))
        return [*(each for each in due if not each.is_neighbour), *asked]

    def next_fetch(self, now: float) -> float:
        """Return when the next issuer may be asked. Neighbours wait until there is a place."""
        free = self._free()
        times = [
            each.schedule.next_fetch(now)
            for each in self._membership
            if each.is_fetched and (free or not each.is_neighbour)
        ]
        if free and self.has_room:
            times.append(self._newcomers.next_turn(now))
        return min(times, default=math.inf)

    def begin(self, issuer: Issuer, number: int, now: float) -> None:
        """Record that the fetch with this number begins."""
        issuer.schedule.begin(number, now)

    def holds(self, issuer: Issuer) -> bool:
        """Tell whether an issuer that is being asked is still of interest."""
        if self._membership.holds(issuer):
            return True
        return issuer.is_neighbour and issuer.url.text in self._newcomers.asked

    @property
    def has_room(self) -> bool:
        """Whether one more neighbour can be held if it is confirmed."""
        held = sum(each.is_neighbour for each in self._membership)
        return held + len(self._newcomers.asked) < MOST_CONFIRMED

    def _free(self) -> int:
        pending = sum(
            each.is_neighbour and each.schedule.pending is not None for each in self._membership
        )
        return max(0, MOST_AT_ONCE - pending - len(self._newcomers.asked))


def _is_due(issuer: Issuer, now: float) -> bool:
    return issuer.is_fetched and issuer.schedule.next_fetch(now) <= now
