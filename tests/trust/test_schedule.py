"""When one issuer is asked for its keys, decided without a clock or a server."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.rules.tokens import SignedToken, parse_token
from nmos_auth.trust.jwks import VerificationKey, parse_jwks
from nmos_auth.trust.schedule import Schedule
from tests.support.parsed import ISSUER, parsed
from tests.support.tokens import claims_of, signing_key

# Contract, REFETCH_INTERVAL: "per issuer, after a burst of three".
BURST = 3

# A token of the name of a good key that no key verifies.
FORGED = parsed(claims_of(ISSUER))


def signed(number: int, kid: str | None = "key-0") -> SignedToken:
    """Return a token that a key made, under a name that may be another one's."""
    return parse_token(signing_key(number).sign(claims_of(ISSUER), {"kid": kid}).encode())


def keys(*numbers: int) -> tuple[VerificationKey, ...]:
    """Return what an issuer publishes."""
    return parse_jwks({"keys": [signing_key(each).jwk() for each in numbers]}).keys


def most(low: float, high: float) -> float:
    """Return the upper bound of a random number."""
    return high


def least(low: float, high: float) -> float:
    """Return the lower bound."""
    return low


def settled(refetch: float = 10.0, refresh: float = 3600.0) -> Schedule:
    """Return the schedule of an issuer whose keys came at once, at the time 0, by fetch 1."""
    schedule = Schedule(refresh, refetch, least)
    schedule.begin(1, 0)
    schedule.succeeded(0)
    return schedule


def test_the_first_fetch_is_due_at_once() -> None:
    """Whatever the clock shows."""
    assert Schedule(3600, 10, least).next_fetch(-1e9) <= -1e9


def test_none_begins_while_one_is_under_way() -> None:
    """However many tokens wait; who asks again is told one second."""
    schedule = settled()
    schedule.begin(2, 3600)
    schedule.want(1, FORGED)
    schedule.want_copy()
    assert schedule.next_fetch(1e9) == math.inf
    assert schedule.retry_after(1e9) == 1


@pytest.mark.parametrize(("uniform", "pause"), [(least, 3600.0), (most, 3660.0)])
def test_in_turn_it_is_every_interval_and_a_random_share(uniform: object, pause: float) -> None:
    """IS-10: "altering their retrieval time by a value between 0-60 seconds"."""
    schedule = Schedule(3600, 10, most if uniform is most else least)
    schedule.begin(1, 0)
    schedule.succeeded(100)
    assert schedule.next_fetch(100) == 100 + pause


def test_a_short_interval_varies_by_a_share_of_itself() -> None:
    """A minute would be much for five seconds."""
    schedule = Schedule(5, 10, most)
    schedule.begin(1, 0)
    schedule.succeeded(0)
    assert schedule.next_fetch(0) == 10


def test_what_waits_is_asked_for_at_once_while_the_allowance_lasts() -> None:
    """Three times; then once an interval, counted from the first."""
    schedule = settled(refetch=10)
    for number in range(2, 2 + BURST):
        schedule.want(number - 1, FORGED)
        assert schedule.next_fetch(100) == 100
        schedule.begin(number, 100)
        schedule.succeeded(100)
    schedule.want(BURST + 1, FORGED)
    assert schedule.next_fetch(100) == pytest.approx(110)
    assert schedule.retry_after(100) == 11
    assert schedule.next_fetch(104) == pytest.approx(110)
    assert schedule.retry_after(109.5) == 1


def test_a_fetch_in_turn_takes_nothing_from_the_allowance() -> None:
    """Those who wait have it left for themselves."""
    schedule = settled(refetch=10, refresh=1)
    for number in range(2, 20):
        schedule.begin(number, schedule.due)
        schedule.succeeded(schedule.due)
    now = schedule.due - 0.5
    for number in range(20, 20 + BURST):
        schedule.want(number - 1, FORGED)
        assert schedule.next_fetch(now) == now
        schedule.begin(number, now)
        schedule.succeeded(now)


def test_a_fetch_that_began_before_does_not_do() -> None:
    """Who was first seen while it was under way gets one of its own, made without asking again."""
    schedule = settled()
    schedule.want(1, FORGED)
    schedule.begin(2, 50)
    schedule.want(2, FORGED)
    schedule.succeeded(51)
    assert schedule.next_fetch(51) == 51
    schedule.begin(3, 51)
    schedule.succeeded(52)
    assert schedule.next_fetch(52) == 52 + 3600


@pytest.mark.parametrize(
    ("tokens", "brought", "again"),
    [
        ([(0, "key-0")], [0, 1], False),
        ([(0, "key-0"), (1, "key-1")], [0, 1], False),
        ([(0, "key-0")] * 20, [0, 1], False),
        ([(0, "key-0")] * 6 + [(2, "key-2")], [0, 1], True),
        ([(2, "key-0")], [0, 1], True),
        ([(0, None)], [0, 1], True),
        ([(0, "key-0")], [], True),
    ],
)
def test_one_under_way_does_for_those_whom_its_keys_verify(
    tokens: list[tuple[int, str | None]], brought: list[int], *, again: bool
) -> None:
    """A burst of tokens of a new key does not have the server asked twice; a forged one does."""
    schedule = settled()
    schedule.begin(2, 50)
    for token in [signed(*each) for each in tokens]:
        for _ in range(3):
            schedule.want(2, token)
    schedule.succeeded(51, keys(*brought))
    assert (schedule.next_fetch(51) == 51) is again


def test_one_under_way_does_for_a_token_seen_before_it_began() -> None:
    """Who comes again meanwhile has nobody asked for him once more."""
    schedule = settled()
    schedule.want(1, FORGED)
    schedule.begin(2, 50)
    schedule.want(1, FORGED)
    schedule.succeeded(51)
    assert schedule.next_fetch(51) == 51 + 3600


def test_tokens_that_wait_are_remembered_for_one_fetch_only() -> None:
    """What another fetch was for says nothing of this one."""
    schedule = settled()
    schedule.begin(2, 50)
    schedule.want(2, FORGED)
    schedule.failed(51)
    schedule.begin(3, 60)
    schedule.want(3, signed(0))
    schedule.succeeded(61, keys(0))
    assert schedule.next_fetch(61) > 61


@pytest.mark.parametrize(("before", "again"), [(15, True), (16, False)])
def test_sixteen_tokens_that_wait_are_remembered(before: int, *, again: bool) -> None:
    """The others have to come again, for which nothing is remembered of them."""
    schedule = settled()
    schedule.begin(2, 50)
    for token in [*(signed(0) for _ in range(before)), FORGED]:
        schedule.want(2, token)
    schedule.succeeded(51, keys(0))
    assert (schedule.next_fetch(51) == 51) is again


def test_after_failures_it_backs_off_and_who_waits_waits_for_that() -> None:
    """IS-10: "a randomised back-off mechanism"; it is not to be hurried by those who wait."""
    schedule = Schedule(3600, 10, most)
    pauses, now = [], 0.0
    for number in range(1, 10):
        schedule.begin(number, now)
        schedule.want(number, FORGED)
        schedule.failed(now)
        pauses.append(schedule.next_fetch(now) - now)
        now = schedule.next_fetch(now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert schedule.failures == 9


def test_a_new_token_may_have_a_failing_server_asked_sooner() -> None:
    """Within the allowance; it may be back."""
    schedule = Schedule(3600, 10, most)
    for number in range(1, 8):
        schedule.begin(number, schedule.due)
        schedule.failed(max(0.0, schedule.due))
    now = schedule.due - 30
    assert schedule.next_fetch(now) == now + 30
    schedule.want(7, FORGED)
    assert schedule.next_fetch(now) == now


def test_a_fetch_out_of_turn_does_not_put_off_the_next_in_turn() -> None:
    """Whoever knocks: the first retries come within a second or two."""
    schedule = Schedule(3600, 10, most)
    schedule.begin(1, 0)
    schedule.failed(0)
    assert schedule.due == 1
    schedule.want(1, FORGED)
    schedule.begin(2, 0.2)
    schedule.failed(0.5)
    assert schedule.due == 1
    assert schedule.failures == 1


def test_the_first_failure_after_a_success_counts_also_out_of_turn() -> None:
    """A server that has just gone down is asked again soon, and not in an hour."""
    schedule = settled()
    schedule.want(1, FORGED)
    schedule.begin(2, 100)
    schedule.failed(100)
    assert schedule.failures == 1
    assert schedule.due <= 101


def test_success_ends_the_back_off() -> None:
    """It begins with short pauses again."""
    schedule = Schedule(3600, 10, most)
    for number in range(1, 8):
        schedule.begin(number, schedule.due)
        schedule.failed(max(0.0, schedule.due))
    schedule.begin(8, schedule.due)
    schedule.succeeded(1000)
    assert schedule.failures == 0
    schedule.begin(9, schedule.due)
    schedule.failed(schedule.due)
    assert schedule.failures == 1


def test_an_idle_server_is_asked_once_more() -> None:
    """Only while the whole burst is left, so that nobody who waits loses a turn."""
    schedule = settled(refetch=10)
    schedule.want_if_idle(100)
    assert schedule.next_fetch(100) == 100
    schedule.begin(2, 100)
    schedule.want_if_idle(100)
    schedule.succeeded(100)
    schedule.want_if_idle(109)
    assert schedule.next_fetch(109) > 109
    schedule.want_if_idle(110)
    assert schedule.next_fetch(110) == 110


def test_a_copy_is_asked_for_once() -> None:
    """One fetch, within the allowance, whatever becomes of it."""
    schedule = settled(refetch=10)
    schedule.want_copy()
    assert schedule.next_fetch(100) == 100
    schedule.begin(2, 100)
    schedule.succeeded(100)
    assert schedule.next_fetch(100) > 100


def test_retry_after_is_a_second_to_an_hour() -> None:
    """Whether the next fetch in turn is long off, or was due long ago."""
    schedule = settled(refresh=1e6)
    assert schedule.retry_after(0) == 3601
    assert schedule.retry_after(2e6) == 1


def test_a_restart_begins_at_once_with_the_allowance_that_was_left() -> None:
    """What was under way on another loop is over."""
    schedule = settled(refetch=1000)
    for number in range(2, 5):
        schedule.want(number - 1, FORGED)
        schedule.begin(number, 100)
        schedule.succeeded(100)
    schedule.begin(5, 3700)
    schedule.restart()
    assert schedule.pending is None
    assert schedule.next_fetch(101) <= 101
    schedule.begin(6, 101)
    schedule.succeeded(101)
    schedule.want(6, FORGED)
    assert schedule.next_fetch(101) == pytest.approx(1100)


@given(
    st.floats(0.5, 100),
    st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["want", "copy", "idle", "none"]))),
    st.lists(st.booleans(), min_size=200, max_size=200),
)
def test_over_any_span_fetches_out_of_turn_stay_within_the_allowance(
    refetch: float, events: list[tuple[float, str]], outcomes: list[bool]
) -> None:
    """Whatever tokens come and whatever the server answers, and whoever is told to come again."""
    schedule, now, number, out_of_turn = settled(refetch=refetch), 0.0, 1, 0
    for pause, event in events:
        now += pause
        if event == "want":
            schedule.want(number, FORGED)
            assert schedule.next_fetch(now) < now + schedule.retry_after(now)
        elif event == "copy":
            schedule.want_copy()
        elif event == "idle":
            schedule.want_if_idle(now)
        if schedule.next_fetch(now) <= now:
            out_of_turn += schedule.due > now
            number += 1
            schedule.begin(number, now)
            if outcomes[number % 200]:
                schedule.succeeded(now)
            else:
                schedule.failed(now)
        assert out_of_turn <= (BURST + now / refetch) * (1 + 1e-6)
