"""What takes more than one request: memory, rotation, an outage, servers that nobody named."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.mint import ProbeKey
from nmos_auth.probe.rows import Force, Source, Suite, is_10
from nmos_auth.probe.wire import NoReply, Reply

if TYPE_CHECKING:
    from nmos_auth.probe.device import Api
    from nmos_auth.probe.running import Probe

__all__ = ["SPECIAL", "Special"]

_PATIENCE = 30.0
_KEYS = "Behaviour: Resource Servers, Public keys"


@dataclass(frozen=True, slots=True)
class Special:
    """A test of several requests.

    Attributes:
        id: what reports call it, for ever.
        suite: its group.
        title: what is tried.
        source: the sentence it holds the device to.
        meaning: what a failure means for the operator.
        test: returns the verdict and what came.
    """

    id: str
    suite: Suite
    title: str
    source: Source
    meaning: str
    test: Callable[[Probe, Api], Awaitable[tuple[Verdict, str]]]

    async def run(self, probe: Probe, api: Api) -> Result:
        """Try it on one API."""
        try:
            verdict, came = await self.test(probe, api)
        except NoReply as error:
            verdict, came = Verdict.FAIL, str(error)
        return Result.of(self, verdict, sent=f"GET {api.base}/{api.path}", came=came)


async def _ask(probe: Probe, api: Api, token: str) -> Reply:
    headers = [("Authorization", f"Bearer {token}")]
    return await probe.ask("GET", f"{api.base}/{api.path}", headers, token)


async def _until_settled(probe: Probe, api: Api, token: str, patience: float = _PATIENCE) -> Reply:
    """Ask again while the answer is 503, as often as Retry-After says."""
    deadline = time.monotonic() + patience
    while True:
        reply = await _ask(probe, api, token)
        if reply.status != 503 or time.monotonic() >= deadline:
            return reply
        await probe.sleep(min(reply.retry_after or 1.0, 5.0))


async def _expired_in_memory(probe: Probe, api: Api) -> tuple[Verdict, str]:
    expiry = int(probe.clock()) + 3
    token = probe.mint(api).token(exp=expiry)
    first = await _ask(probe, api, token)
    if first.status != 200:
        return Verdict.UNTESTED, f"{first.status} at first"
    # Half a second more than the second in which it ends.
    await probe.sleep(max(0.0, expiry - probe.clock()) + 0.5)
    second = await _ask(probe, api, token)
    verdict = Verdict.PASS if second.status == 401 else Verdict.FAIL
    return verdict, f"{first.status}, and {second.status} after it expired"


async def _neighbour(probe: Probe, api: Api) -> tuple[Verdict, str]:
    before = len(probe.neighbour.requests)
    mint = probe.mint(api)
    claims = mint.claims(iss=probe.neighbour.issuer, iat=int(probe.clock()) - 5)
    token = mint.signed(claims, key=probe.neighbour.keys[0])
    reply = await _until_settled(probe, api, token)
    asked = "and was asked" if len(probe.neighbour.requests) > before else "and was not asked"
    verdict = Verdict.PASS if reply.status in {200, 401} else Verdict.WARNING
    return verdict, f"{reply.status}, {asked}"


async def _confusion(probe: Probe, api: Api) -> tuple[Verdict, str]:
    mint = probe.mint(api)
    reply = await _until_settled(
        probe, api, mint.signed(mint.claims(), key=probe.neighbour.keys[0])
    )
    return (Verdict.FAIL if reply.status == 200 else Verdict.PASS), str(reply.status)


async def _rotation(probe: Probe, api: Api) -> tuple[Verdict, str]:
    former = list(probe.authority.keys)
    following = ProbeKey("following")
    probe.authority.keys = [*former, following]
    mint = probe.mint(api)
    began = time.monotonic()
    token = mint.signed(mint.claims(iat=int(probe.clock()) - 1), key=following)
    reply = await _until_settled(probe, api, token)
    old = await _ask(probe, api, mint.signed(mint.claims(jti="old"), key=former[0]))
    took = time.monotonic() - began
    came = f"{reply.status} after {took:.0f} s; {old.status} for the former key"
    return (Verdict.PASS if (reply.status, old.status) == (200, 200) else Verdict.FAIL), came


async def _outage(probe: Probe, api: Api) -> tuple[Verdict, str]:
    known = probe.mint(api).token()
    await _ask(probe, api, known)
    await probe.authority.close()
    try:
        held = await _ask(probe, api, known)
        fresh = await _ask(probe, api, probe.mint(api).token(jti="fresh"))
        mint = probe.mint(api)
        forged = await _ask(probe, api, mint.signed(mint.claims(), key=probe.stranger))
    finally:
        await probe.authority.start()
    came = f"{held.status} known, {fresh.status} new, {forged.status} forged"
    if held.status == fresh.status == 200 and forged.status in {401, 403, 503}:
        slowest = max(held.seconds, fresh.seconds, forged.seconds)
        return Verdict.PASS, f"{came}; {slowest:.1f} s"
    return Verdict.FAIL, came


SPECIAL = (
    Special(
        "times-remembered",
        Suite.TIMES,
        "a token that was accepted, after it expired",
        is_10("Behaviour: Access Tokens, exp", "a token is rejected once its time is over"),
        "A token that was used once never ends.",
        _expired_in_memory,
    ),
    Special(
        "issuers-neighbour",
        Suite.ISSUERS,
        "a server on the same host that nobody named",
        is_10(_KEYS, "a missing key is fetched from the server that `iss` names", Force.SHOULD),
        "Clients of a second server of the plant wait for ever.",
        _neighbour,
    ),
    Special(
        "issuers-confusion",
        Suite.ISSUERS,
        "the trusted issuer's name, and the key of a server met before",
        is_10(
            "Behaviour: Resource Servers, Validation of Access Token",
            "a token is verified by the keys of the server that its `iss` names",
        ),
        "Every server that the device ever met can make tokens in every issuer's name.",
        _confusion,
    ),
    Special(
        "keys-rotation",
        Suite.KEYS,
        "a new key, and the former one beside it",
        is_10(_KEYS, "a missing key is fetched", Force.SHOULD),
        "After the server changed its keys, clients are locked out.",
        _rotation,
    ),
    Special(
        "keys-outage",
        Suite.KEYS,
        "the server is gone, and tokens go on",
        is_10(_KEYS, "held keys remain valid while no server can be reached", Force.SHOULD),
        "When the server stops, the plant stops.",
        _outage,
    ),
)
