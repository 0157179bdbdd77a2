"""When a token is valid: exp, iat and nbf (IS-10 Access Tokens, RFC 7519 Section 4.1)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from nmos_auth import NmosAuthMiddleware, Settings
from tests.contract.conftest import MakeSettings
from tests.contract.rows import INVALID_TOKEN, OK, Answer, Row, TableMint, parametrized
from tests.contract.scene import Scene, echoing, held, settled
from tests.support.clocks import Clock
from tests.support.tokens import NULL

EXP = "IS-10 Access Tokens, exp; RFC 7519 Section 4.1.4: on or after which MUST NOT be accepted"
IAT = "IS-10 Access Tokens, iat: MUST reject where greater than the current time"
NBF = "IS-10 Access Tokens, nbf"
LEEWAY = "contract: LEEWAY, a second on iat and nbf and never on exp"
DATE = "RFC 7519 Section 2: NumericDate is a JSON number"

Moment = Callable[[int], object]


def _at(name: str, source: str, *answers: Answer, **moments: Moment) -> Row:
    """Return a row whose claims are reckoned from the current second."""

    def make(mint: TableMint) -> str:
        now = mint.now
        return mint.token(**{claim: moment(now) for claim, moment in moments.items()})

    return Row(name, source, answers, token=make)


def _literally(name: str, source: str, *answers: Answer, **texts: str) -> Row:
    """Return a row whose claims are written as JSON text."""

    def make(mint: TableMint) -> str:
        members = ", ".join(f'"{claim}": {text}' for claim, text in texts.items())
        return mint.signed(mint.payload(members, **dict.fromkeys(texts)))

    return Row(name, source, answers, token=make)


ROWS = [
    _at("exp-ahead", EXP, OK, exp=lambda now: now + 60),
    _at("exp-half-a-second-ago", EXP, INVALID_TOKEN, exp=lambda now: now - 0.5),
    _at("exp-this-second", LEEWAY, INVALID_TOKEN, exp=lambda now: now),
    _at("exp-a-second-ago", LEEWAY, INVALID_TOKEN, exp=lambda now: now - 1),
    _at(
        "exp-far-ahead",
        "IS-10: valid for no more than one hour is a SHOULD",
        OK,
        exp=lambda now: now + 10**8,
    ),
    _at("exp-null", DATE, INVALID_TOKEN, exp=lambda _: NULL),
    _at("exp-false", DATE, INVALID_TOKEN, exp=lambda _: False),
    _at("exp-object", DATE, INVALID_TOKEN, exp=lambda now: {"$date": now + 60}),
    _literally("exp-exponent", DATE, OK, exp="4.1e9"),
    _literally("exp-beyond-all-dates", DATE, INVALID_TOKEN, exp="1e300"),
    _literally("exp-nan", DATE, INVALID_TOKEN, exp="NaN"),
    _literally("exp-huge", DATE, INVALID_TOKEN, exp="9" * 5000),
    _literally("exp-before-all-dates", DATE, INVALID_TOKEN, exp="-1" + "0" * 400),
    _literally("exp-minus-zero", EXP, INVALID_TOKEN, exp="-0"),
    _at("iat-now", IAT, OK, iat=lambda now: now),
    _at("iat-past", IAT, OK, iat=lambda now: now - 3600),
    _at("iat-zero", IAT, OK, iat=lambda _: 0),
    _at("iat-fraction", DATE, OK, iat=lambda now: now - 0.5),
    _at("iat-next-second", LEEWAY, OK, iat=lambda now: now + 1),
    _at("iat-seconds-ahead", IAT, INVALID_TOKEN, iat=lambda now: now + 5),
    _at("iat-milliseconds", IAT, INVALID_TOKEN, iat=lambda now: now * 1000),
    _at("iat-null", DATE, INVALID_TOKEN, iat=lambda _: NULL),
    _at("iat-string", DATE, INVALID_TOKEN, iat=str),
    _literally("iat-infinite", DATE, INVALID_TOKEN, iat="-1e400"),
    _literally("iat-before-all-dates", DATE, INVALID_TOKEN, iat="-1" + "0" * 400),
    _at("nbf-now", NBF, OK, nbf=lambda now: now),
    _at("nbf-next-second", LEEWAY, OK, nbf=lambda now: now + 1),
    _at("nbf-seconds-ahead", NBF, INVALID_TOKEN, nbf=lambda now: now + 5),
    _at("nbf-fraction", DATE, OK, nbf=lambda now: now - 0.5),
    _at("nbf-null", DATE, INVALID_TOKEN, nbf=lambda _: NULL),
    _at("nbf-string", DATE, INVALID_TOKEN, nbf=str),
    _literally("nbf-before-all-dates", DATE, INVALID_TOKEN, nbf="-1" + "0" * 400),
    _at("nbf-object", DATE, INVALID_TOKEN, nbf=lambda _: {}),
    _at(
        "nbf-past-exp-past", EXP, INVALID_TOKEN, nbf=lambda now: now - 60, exp=lambda now: now - 30
    ),
]


@parametrized(ROWS)
def test_times(scene: Scene, row: Row) -> None:
    """A token is valid from its nbf and iat on, and until its exp."""
    scene.check(row)


NOW = 2_000_000_000.0
"""Some moment in 2033: the clock of the servers below, and of nothing else."""


@contextlib.contextmanager
def _clocked(settings: Settings, mint: TableMint, clock: Clock) -> Iterator[Scene]:
    app = echoing()
    app.add_middleware(NmosAuthMiddleware, settings=settings, clock=clock)
    with held(app, mint) as scene:
        good = mint.token(iat=NOW, exp=NOW + 3600)
        settled(lambda: scene.get(token=good), 200)
        yield scene


EDGES: list[tuple[float, dict[str, float], int]] = [
    (1, {"exp": NOW}, 401),
    (1, {"exp": NOW + 0.001}, 200),
    (60, {"exp": NOW}, 401),
    (60, {"exp": NOW - 1}, 401),
    (1, {"iat": NOW + 1}, 200),
    (1, {"iat": NOW + 1.001}, 401),
    (1, {"nbf": NOW + 1}, 200),
    (1, {"nbf": NOW + 1.001}, 401),
    (0, {"iat": NOW}, 200),
    (0, {"iat": NOW + 0.001}, 401),
    (0, {"nbf": NOW}, 200),
    (0, {"nbf": NOW + 0.001}, 401),
    (60, {"iat": NOW + 60, "nbf": NOW + 60}, 200),
]


@pytest.mark.parametrize("leeway", [0, 1, 60])
def test_edges(mint: TableMint, make_settings: MakeSettings, leeway: float) -> None:
    """To the millisecond: exp is the first moment that is too late, whatever the leeway."""
    with _clocked(make_settings(leeway=leeway), mint, Clock(NOW)) as scene:
        for allowed, moments, status in EDGES:
            if allowed == leeway:
                token = mint.token(**{"iat": NOW - 10, "exp": NOW + 60, **moments})
                assert scene.get(token=token).status == status, (leeway, moments)


def test_a_token_that_was_good_ends(mint: TableMint, make_settings: MakeSettings) -> None:
    """A token that has been used is refused from its exp on, as one seen for the first time is."""
    clock = Clock(NOW)
    with _clocked(make_settings(), mint, clock) as scene:
        token = mint.token(iat=NOW, exp=NOW + 30)
        statuses = []
        for clock.now in (NOW, NOW + 29.999, NOW + 30, NOW + 31):
            statuses.append(scene.get(token=token).status)
    assert statuses == [200, 200, 401, 401]


def test_a_token_that_was_early_begins(mint: TableMint, make_settings: MakeSettings) -> None:
    """A token that was refused for its nbf is good when its time has come."""
    clock = Clock(NOW)
    with _clocked(make_settings(), mint, clock) as scene:
        token = mint.token(iat=NOW, nbf=NOW + 10, exp=NOW + 60)
        assert scene.get(token=token).status == 401
        clock.now = NOW + 10
        assert scene.get(token=token).status == 200
