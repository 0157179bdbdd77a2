"""A token source in virtual time: when it renews, what it gives meanwhile, how it fails."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from nmos_auth.client import (
    ClientClosed,
    ClientError,
    HeldToken,
    ServerUnavailable,
    StoreError,
    TokenRefused,
    TokenSource,
)
from nmos_auth.client.grants.grants import GrantedTokens
from nmos_auth.errors import NmosAuthError
from tests.support.virtual_time import in_virtual_time

DOWN = ServerUnavailable("no answer")
REFUSED = TokenRefused("https://a.example.com/token", code="invalid_scope", status=400)


def now() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


@dataclass
class Issuing:
    """Issues tokens, or fails.

    Attributes:
        lifetime: of its tokens, in seconds.
        latency: seconds that each takes.
        failing: what it raises instead, if anything.
        asked: when it was asked.
    """

    lifetime: float = 60
    latency: float = 0.01
    failing: NmosAuthError | None = None
    asked: list[float] = field(default_factory=list)

    async def __call__(self) -> GrantedTokens:
        """Issue one."""
        self.asked.append(now())
        requested_at = now()
        await asyncio.sleep(self.latency)
        if self.failing is not None:
            raise self.failing
        return GrantedTokens(
            SecretStr(f"token-{len(self.asked)}"), self.lifetime, frozenset("x"), requested_at
        )

    def source(self) -> TokenSource:
        """Make a source of these."""
        return TokenSource(self, monotonic=now, uniform=lambda _, most: most)


@in_virtual_time
async def test_one_request_for_any_number_of_callers() -> None:
    """A hundred callers at once are served by one request, and later ones by none."""
    issuing = Issuing()
    async with issuing.source() as source:
        tokens = await asyncio.gather(*(source.token() for _ in range(100)))
        assert {token.value.get_secret_value() for token in tokens} == {"token-1"}
        await source.token()
        assert len(issuing.asked) == 1


@in_virtual_time
async def test_a_cancelled_caller_cancels_nobody_elses_work() -> None:
    """The caller that started the request goes away; the others get their token all the same."""
    issuing = Issuing(latency=1)
    async with issuing.source() as source:
        first = asyncio.create_task(source.token())
        others = [asyncio.create_task(source.token()) for _ in range(3)]
        await asyncio.sleep(0.5)
        first.cancel()
        assert len({id(token) for token in await asyncio.gather(*others)}) == 1
        assert first.cancelled()
        assert len(issuing.asked) == 1


@pytest.mark.parametrize(
    ("lifetime", "renewed_at"), [(30, 15), (60, 30), (3600, 1800), (20, 5), (8, 2)]
)
def test_when_it_renews(lifetime: float, renewed_at: float) -> None:
    """At half-life, or 15 s before the end where that is earlier, without anybody asking."""

    @in_virtual_time
    async def scene() -> None:
        issuing = Issuing(lifetime=lifetime)
        async with issuing.source() as source:
            await source.token()
            await asyncio.sleep(renewed_at + 0.1)
            assert issuing.asked[1:] == [pytest.approx(renewed_at, abs=0.02)]

    scene()


@in_virtual_time
async def test_the_token_in_hand_serves_while_the_server_is_down() -> None:
    """While renewing fails, callers get the old token at once until it ends, then the error."""
    issuing = Issuing(lifetime=60)
    async with issuing.source() as source:
        first = await source.token()
        issuing.failing = DOWN
        while now() < first.expires_at - 0.5:
            before = now()
            assert await source.token() is first
            assert now() == before
            await asyncio.sleep(0.4)
        await asyncio.sleep(0.5)
        with pytest.raises(ServerUnavailable):
            await source.token()
        issuing.failing = None
        await asyncio.sleep(16)
        assert (await source.token()).value != first.value


@in_virtual_time
async def test_back_off() -> None:
    """Attempts come after 1, 2, 4 and 8 s, then every 15 s; a success begins again."""
    issuing = Issuing(lifetime=600, latency=0)
    async with issuing.source() as source:
        await source.token()
        issuing.failing = DOWN
        await asyncio.sleep(400)
        assert issuing.asked[1:8] == [300, 301, 303, 307, 315, 330, 345]
        issuing.failing = None
        await asyncio.sleep(16)
        renewed = len(issuing.asked)
        issuing.failing = DOWN
        await asyncio.sleep(310)
        again = issuing.asked[renewed : renewed + 4]
        assert [each - again[0] for each in again] == [0, 1, 3, 7]


@in_virtual_time
async def test_a_token_in_hand_is_not_slept_away() -> None:
    """As its end draws near, attempts come after half of what it has left, a second at least."""
    issuing = Issuing(lifetime=31, latency=0)
    async with issuing.source() as source:
        await source.token()
        issuing.failing = DOWN
        await asyncio.sleep(45)
        assert issuing.asked[1:] == [15.5, 16.5, 18.5, 22.5, 26.25, 28.125, 29.125, 30.125]


@in_virtual_time
async def test_callers_do_not_hammer_a_server_that_is_down() -> None:
    """With no token in hand, callers between two attempts get the last error, and no request."""
    issuing = Issuing(failing=DOWN)
    async with issuing.source() as source:
        for _ in range(600):
            with pytest.raises(ServerUnavailable):
                await source.token()
            await asyncio.sleep(0.1)
        assert len(issuing.asked) <= 9


@in_virtual_time
async def test_no_loop_on_permanent_errors() -> None:
    """A refusal is tried again only when somebody asks, after a minute, then two, then four."""
    issuing = Issuing(failing=REFUSED)
    async with issuing.source() as source:
        for _ in range(1000):
            with pytest.raises(TokenRefused):
                await source.token()
            await asyncio.sleep(0.5)
        assert [round(each) for each in issuing.asked] == [0, 60, 180, 420]


@in_virtual_time
async def test_what_is_no_plain_refusal_is_tried_sooner() -> None:
    """A proxy's 404, or `invalid_client`: after 5 s, then 20, then 80, and only if asked."""
    for code in (None, "invalid_client"):
        began = now()
        issuing = Issuing(failing=TokenRefused("the server", code=code, status=404), latency=0)
        async with issuing.source() as source:
            for _ in range(400):
                with pytest.raises(TokenRefused):
                    await source.token()
                await asyncio.sleep(0.5)
            assert [each - began for each in issuing.asked] == [0, 5, 25, 105]


@in_virtual_time
async def test_nobody_asks_nothing_is_sent_after_a_refusal() -> None:
    """A renewal that is refused is not tried again while nobody asks."""
    issuing = Issuing(lifetime=60)
    async with issuing.source() as source:
        await source.token()
        issuing.failing = REFUSED
        await asyncio.sleep(10000)
        assert len(issuing.asked) == 2
        issuing.failing = None
        await source.token()
        assert len(issuing.asked) == 3


@in_virtual_time
async def test_retry_after_of_a_day_is_kept() -> None:
    """A server that asks for a day gets it, and no more."""
    issuing = Issuing(failing=ServerUnavailable("503", status=503, retry_after=1e9), latency=0)
    async with issuing.source() as source:
        for _ in range(50):
            with pytest.raises(ServerUnavailable):
                await source.token()
            await asyncio.sleep(3600)
        assert issuing.asked == [0, 86400, 172800]


@in_virtual_time
async def test_retry_after_is_kept() -> None:
    """A server that asks for 40 s gets them."""
    issuing = Issuing(failing=ServerUnavailable("503", status=503, retry_after=40), latency=0)
    async with issuing.source() as source:
        for _ in range(79):
            with pytest.raises(ServerUnavailable):
                await source.token()
            await asyncio.sleep(0.5)
        assert issuing.asked == [0]


@in_virtual_time
async def test_an_expired_token_is_never_given() -> None:
    """Nothing is given in the last second of a token, nor one that came too late."""
    issuing = Issuing(lifetime=10)
    async with issuing.source() as source:
        token = await source.token()
        issuing.failing = DOWN
        await asyncio.sleep(9.1)
        with pytest.raises(NmosAuthError):
            await source.token()
        assert token.expires_at == pytest.approx(9, abs=0.1)
    slow = Issuing(lifetime=5, latency=6)
    async with slow.source() as source:
        with pytest.raises(ServerUnavailable, match="expired"):
            await source.token()


@pytest.mark.parametrize("seed", range(5))
def test_an_hour_at_thirty_seconds(seed: int) -> None:
    """Through outages of up to twelve seconds every heartbeat has a token that has not expired."""
    chance = random.Random(seed)  # noqa: S311 - to be the same with every run

    @in_virtual_time
    async def scene() -> None:
        issuing = Issuing(lifetime=30)
        ends: dict[str, float] = {}

        async def obtain() -> GrantedTokens:
            granted = await issuing()
            ends[granted.access_token.get_secret_value()] = now() + 30
            return granted

        async def restart_on_and_on() -> None:
            while True:
                await asyncio.sleep(chance.uniform(5, 60))
                issuing.failing = DOWN
                await asyncio.sleep(chance.uniform(0, 12))
                issuing.failing = None

        async with TokenSource(obtain, monotonic=now, uniform=chance.uniform) as source:
            await source.token()
            restarts = asyncio.create_task(restart_on_and_on())
            for _ in range(720):
                token = await source.token()
                assert now() < ends[token.value.get_secret_value()]
                await asyncio.sleep(5)
            restarts.cancel()
        assert 200 < len(issuing.asked) < 600

    scene()


@in_virtual_time
async def test_rejected_tokens_are_replaced_within_bounds() -> None:
    """Three rejections in a row each bring a new token; then one in ten seconds."""
    issuing = Issuing(lifetime=3600)
    async with issuing.source() as source:
        token: HeldToken | None = await source.token()
        for _ in range(3):
            assert token is not None
            rejected, token = token, await source.replacement(token)
            assert token is not None
            assert token.value != rejected.value
            # Somebody else with the old token gets the new one without a request.
            assert await source.replacement(rejected) is token
        assert token is not None
        assert await source.replacement(token) is None
        await asyncio.sleep(10)
        assert await source.replacement(token) is not None
        assert len(issuing.asked) == 5


@in_virtual_time
async def test_a_rejection_while_the_server_is_down() -> None:
    """There is no replacement then, and no error: the answer of the Resource Server stands."""
    issuing = Issuing(lifetime=3600)
    async with issuing.source() as source:
        token = await source.token()
        issuing.failing = DOWN
        assert await source.replacement(token) is None
        assert await source.token() is token


@in_virtual_time
async def test_our_own_failures_hold_too() -> None:
    """A store that fails is not asked on and on."""
    issuing = Issuing(failing=StoreError("damaged"))
    async with issuing.source() as source:
        for _ in range(50):
            with pytest.raises(StoreError):
                await source.token()
        assert len(issuing.asked) == 1


@in_virtual_time
async def test_whatever_goes_wrong_holds() -> None:
    """What nobody foresaw is an error that callers can catch, says no secret, and is held too."""
    asked = 0

    async def obtain() -> GrantedTokens:
        nonlocal asked
        asked += 1
        raise ZeroDivisionError("a secret")

    async with TokenSource(obtain, monotonic=now) as source:
        for _ in range(50):
            with pytest.raises(ClientError, match="ZeroDivisionError") as caught:
                await source.token()
            assert "a secret" not in str(caught.value)
    assert asked == 1


@in_virtual_time
async def test_callers_who_wait_while_it_is_closed() -> None:
    """They get an error, and are not cancelled."""
    issuing = Issuing(latency=5)
    source = issuing.source()
    callers = [asyncio.create_task(source.token()) for _ in range(3)]
    await asyncio.sleep(1)
    await source.aclose()
    for caller in callers:
        with pytest.raises(ClientClosed):
            await caller


@in_virtual_time
async def test_closed() -> None:
    """Once closed, it gives nothing and asks nobody."""
    issuing = Issuing(lifetime=30)
    source = issuing.source()
    await source.token()
    await source.aclose()
    await asyncio.sleep(100)
    assert len(issuing.asked) == 1
    with pytest.raises(ClientClosed):
        await source.token()
