"""The simulation finds rules that are taken out: each is missing in turn, and must be missed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from nmos_auth.servers import urls
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust import discovered_issuers, holdings
from nmos_auth.trust.finality import LastFetch
from nmos_auth.trust.holdings import Holdings
from nmos_auth.trust.issuers import Issuer
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.neighbours import Newcomers
from nmos_auth.trust.published import Unpublished
from nmos_auth.trust.turns import Turns
from tests.simulation.play import play

Take = Callable[[pytest.MonkeyPatch], None]


def any_path_is_an_issuer(patch: pytest.MonkeyPatch) -> None:
    """Let an issuer's path leave its place, and let every path on a host be a neighbour's."""
    patch.setattr(urls, "_ISSUER_PATH", re.compile(r"(?s).*"))
    patch.setattr(IssuerUrl, "neighbourhood", property(lambda self: (self.host, "")))


def neighbours_have_no_turns(patch: pytest.MonkeyPatch) -> None:
    """Call the tokens of a neighbour invalid that there is no room to ask."""
    waiting = Newcomers.retry_after

    def retry_after(self: Newcomers, url: str, peer: str, now: float) -> int | None:
        return None if self._allowance.wait(now) else waiting(self, url, peer, now)

    patch.setattr(Newcomers, "retry_after", retry_after)


def all_addresses_are_one(patch: pytest.MonkeyPatch) -> None:
    """Let whoever asks for the most have the most turns."""
    waiting = Turns.wait
    patch.setattr(Turns, "wait", lambda *given: waiting(given[0], "", given[2]))


def neighbours_stay_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Believe a neighbour whose metadata is gone."""
    patch.setattr(Unpublished, "disowned", property(lambda _: False))
    patch.setattr(holdings, "LONGEST_ABSENCE", 1e12)
    patch.setattr(holdings, "is_recent", lambda *_: True)


def neighbours_stay_over_restarts(patch: pytest.MonkeyPatch) -> None:
    """Believe what a file says of a neighbour, however long ago it was confirmed."""
    patch.setattr(holdings, "is_recent", lambda *_: True)
    patch.setattr(holdings, "LONGEST_ABSENCE", 1e12)


def the_first_to_be_advertised_hold_places(patch: pytest.MonkeyPatch) -> None:
    """Let unconfirmed advertisements hold places."""
    candidates = discovered_issuers._Candidates
    patch.setattr(candidates, "contenders", lambda self: list(self.servers.values())[:16])


def who_finds_no_allowance_is_invalid(patch: pytest.MonkeyPatch) -> None:
    """Call a token invalid whose key is new while the allowance is used up."""
    real = KeyStore._seen_after_last_fetch

    def seen(self: KeyStore, issuer: Issuer, *more: object) -> int | None:
        schedule, now = issuer.schedule, self._monotonic()
        if schedule.pending is None and schedule._allowance.wait(now) > 0:
            return None
        return real(self, issuer, *more)  # type: ignore[arg-type]

    patch.setattr(KeyStore, "_seen_after_last_fetch", seen)


def any_fetch_is_final(patch: pytest.MonkeyPatch) -> None:
    """Let a fetch be final that was under way when the token was first seen."""
    patch.setattr(LastFetch, "began_after", lambda self, begun: self.number >= begun)


def our_clock_is_the_servers(patch: pytest.MonkeyPatch) -> None:
    """Judge a token's age by our own clock."""
    known = LastFetch.knew_keys_of

    def knew(self: LastFetch, issued_at: float | None, *, date: float, now: float) -> bool:
        ours = LastFetch(self.number, self.began, None)
        return known(ours, issued_at, date=date, now=now)

    patch.setattr(LastFetch, "knew_keys_of", knew)


def withdrawals_go_unnoticed(patch: pytest.MonkeyPatch) -> None:
    """Let tokens that were verified before stay valid when their key is withdrawn."""
    patch.setattr(KeyStore, "_count_withdrawal", lambda *_: None)


def a_refresh_that_fails_loses_keys(patch: pytest.MonkeyPatch) -> None:
    """Forget a member that does not answer."""
    failed = Holdings._failed

    def forgetting(self: Holdings, issuer: Issuer, failure: Unpublished, fetch: LastFetch) -> None:
        if issuer.keys:
            issuer.last_fetch = fetch
            if issuer.hold((), self._monotonic()):
                self._on_withdrawal()
            self._members.draw()
        failed(self, issuer, failure, fetch)

    patch.setattr(Holdings, "_failed", forgetting)


_INVALID = "is good and was called invalid"
_UNPUBLISHED = "was accepted, and nobody publishes that key"

# What breaks where a rule is missing, in the words of the invariant: a patch that does not fit the
# code any more breaks something else, or nothing.
TAKEN_OUT: dict[Take, str] = {
    any_path_is_an_issuer: "the Node may not ask for",
    neighbours_have_no_turns: _INVALID,
    all_addresses_are_one: "has waited for",
    neighbours_stay_for_ever: _UNPUBLISHED,
    neighbours_stay_over_restarts: _UNPUBLISHED,
    the_first_to_be_advertised_hold_places: _INVALID,
    who_finds_no_allowance_is_invalid: _INVALID,
    any_fetch_is_final: _INVALID,
    our_clock_is_the_servers: _INVALID,
    withdrawals_go_unnoticed: _UNPUBLISHED,
    a_refresh_that_fails_loses_keys: _INVALID,
}
# They last for seconds: `scripts/test -m slow tests/simulation`.
_LONG = [
    neighbours_stay_for_ever,
    neighbours_stay_over_restarts,
    the_first_to_be_advertised_hold_places,
]


@pytest.mark.parametrize(
    "take_out",
    [pytest.param(each, marks=pytest.mark.slow) if each in _LONG else each for each in TAKEN_OUT],
    ids=lambda each: each.__name__,
)
def test_a_rule_that_is_taken_out_is_missed(
    take_out: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within some histories of fifty hours, an invariant that rests on the rule breaks."""
    take_out(monkeypatch)
    broken = (str(play(seed, 50).broken) for seed in range(12))
    assert any(TAKEN_OUT[take_out] in each for each in broken)


@pytest.mark.parametrize("take_out", _LONG, ids=lambda each: each.__name__)
def test_a_rule_can_be_taken_out(take_out: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the slow tests patch is where they look for it."""
    take_out(monkeypatch)
