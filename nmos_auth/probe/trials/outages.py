"""What a device accepts while the server is gone, fails or hangs, and after it comes back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from nmos_auth.probe.authority import Mood
from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.mint import ProbeKey
from nmos_auth.probe.rows import Force, Suite, is_10
from nmos_auth.probe.sentences import MISSING_KEY, PUBLIC_KEYS, UNVERIFIED
from nmos_auth.probe.trials.trial import Outcome, Trial, ask, until_settled

if TYPE_CHECKING:
    from nmos_auth.probe.device import Api
    from nmos_auth.probe.running import Probe

__all__ = ["OUTAGES"]

_HELD = is_10(
    PUBLIC_KEYS, "held keys remain valid while the server cannot be reached", Force.SHOULD
)
_PROMPT = 1.0
_PATIENCE = 60.0


@contextlib.asynccontextmanager
async def _outage(probe: Probe, mood: Mood | None) -> AsyncIterator[None]:
    """Make the server fail until the block ends; without a mood it is closed."""
    server = probe.authority
    if mood is None:
        await server.close()
    else:
        server.mood = mood
    try:
        yield
    finally:
        server.mood = Mood.WELL
        if mood is None:
            await server.start()


async def _held(mood: Mood | None, probe: Probe, api: Api) -> Outcome:
    mint = probe.mint(api.places)
    known = mint.token()
    await ask(probe, api, known)
    async with _outage(probe, mood):
        # A token of an unknown key makes the device ask the server that fails.
        unknown = mint.signed(mint.claims(iat=int(mint.now())), key=ProbeKey("unknown"))
        first = await ask(probe, api, unknown)
        held = await ask(probe, api, known)
        fresh = await ask(probe, api, mint.token(jti="fresh"))
    slowest = max(each.seconds for each in (first, held, fresh))
    came = (
        f"{held.status} for a known token, {fresh.status} for a new one, {first.status} for an"
        f" unknown key; {slowest:.1f} s at most"
    )
    if (held.status, fresh.status) != (200, 200):
        return Verdict.FAIL, came
    return (Verdict.PASS if slowest <= _PROMPT else Verdict.WARNING), came


async def _forged(mood: Mood | None, probe: Probe, api: Api) -> Outcome:
    mint = probe.mint(api.places)
    async with _outage(probe, mood):
        reply = await ask(probe, api, mint.signed(mint.claims(), key=probe.stranger))
    refused = reply.status in {401, 403, 503}
    return (Verdict.PASS if refused else Verdict.FAIL), str(reply.status)


async def _return(probe: Probe, api: Api) -> Outcome:
    """Restart the server with one more key."""
    await probe.authority.close()
    restarted = ProbeKey("restarted")
    probe.authority.keys = [*probe.authority.keys, restarted]
    mint = probe.mint(api.places)
    token = mint.signed(mint.claims(iat=int(mint.now()) - 1), key=restarted)
    during = await ask(probe, api, token)
    await probe.authority.start()
    began = probe.clock()
    after = await until_settled(probe, api, token, _PATIENCE)
    took = probe.clock() - began
    came = f"{during.status} while it was gone, {after.status} {took:.0f} s after it came back"
    return (Verdict.PASS if after.status == 200 else Verdict.FAIL), came


_MOODS: tuple[tuple[str, Mood | None], ...] = (
    ("gone", None),
    *((each.name.lower(), each) for each in Mood if each is not Mood.WELL),
)

OUTAGES = (
    *(
        trial
        for name, mood in _MOODS
        for told in ["is gone" if mood is None else mood.value]
        for trial in (
            Trial(
                f"outages-{name}",
                Suite.OUTAGES,
                f"tokens of held keys, while the server {told}",
                _HELD,
                "When the server stops, the plant stops.",
                partial(_held, mood),
            ),
            Trial(
                f"outages-{name}-forged",
                Suite.OUTAGES,
                f"a stranger's token, while the server {told}",
                UNVERIFIED,
                "Anyone who can disturb the server can make tokens for this device.",
                partial(_forged, mood),
            ),
        )
    ),
    Trial(
        "outages-return",
        Suite.OUTAGES,
        "a new key, after the server was restarted",
        MISSING_KEY,
        "After the server was restarted, clients are locked out.",
        _return,
    ),
)
