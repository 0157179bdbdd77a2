"""Keys that come and go."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa

from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.mint import ProbeKey
from nmos_auth.probe.rows import Force, Suite, is_10, rfc
from nmos_auth.probe.sentences import MISSING_KEY, PUBLIC_KEYS
from nmos_auth.probe.trials.trial import Outcome, Trial, ask, until_settled

if TYPE_CHECKING:
    from nmos_auth.probe.device import Api
    from nmos_auth.probe.mint import Mint
    from nmos_auth.probe.running import Probe

__all__ = ["KEYS", "WITHDRAWAL"]

# IS-10 allows an hour and up to 60 seconds between fetches.
_REFRESH = 3600.0 + 60.0
_SLACK = 60.0
_PAUSE = 60.0
# How long a device waits between two fetches for a missing key is its own choice.
_PATIENCE = 45.0


def _now(mint: Mint) -> int:
    return int(mint.now()) - 1


async def _rotation(probe: Probe, api: Api) -> Outcome:
    former = list(probe.authority.keys)
    following = ProbeKey("following")
    probe.authority.keys = [*former, following]
    mint = probe.mint(api.places)
    began = probe.clock()
    token = mint.signed(mint.claims(iat=_now(mint)), key=following)
    reply = await until_settled(probe, api, token, _PATIENCE)
    old = await ask(probe, api, mint.signed(mint.claims(jti="old"), key=former[0]))
    took = probe.clock() - began
    came = f"{reply.status} after {took:.0f} s; {old.status} for the former key"
    return (Verdict.PASS if (reply.status, old.status) == (200, 200) else Verdict.FAIL), came


def _bad_keys() -> list[ProbeKey]:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the point
    return [ProbeKey("encryption", use="enc"), ProbeKey("weak", weak)]


async def _bad(name: str, probe: Probe, api: Api) -> Outcome:
    """Publish keys that must not verify tokens, beside a new good one."""
    published = {key.name: key for key in probe.authority.keys}
    if name not in published:
        first = probe.authority.keys[0]
        probe.authority.keys = [first, *_bad_keys(), ProbeKey("good")]
        published = {key.name: key for key in probe.authority.keys}
    mint = probe.mint(api.places)
    iat = _now(mint)
    token = mint.signed(mint.claims(iat=iat), key=published["good"])
    # A good token of a new key shows that the device has this very key set.
    beside = await until_settled(probe, api, token, _PATIENCE)
    if beside.status != 200:
        return Verdict.UNTESTED, f"{beside.status} for a token of the good key beside it"
    reply = await until_settled(probe, api, mint.signed(mint.claims(), key=published[name]))
    return (Verdict.FAIL if reply.status == 200 else Verdict.PASS), str(reply.status)


async def _withdrawal(probe: Probe, api: Api) -> Outcome:
    """Remove the first key, and wait until the device fetches the keys."""
    former = probe.authority.keys[0]
    mint = probe.mint(api.places)
    token = mint.signed(mint.claims(exp=int(mint.now() + 2 * _REFRESH)), key=former)
    first = await ask(probe, api, token)
    if first.status != 200:
        return Verdict.UNTESTED, f"{first.status} before the key was withdrawn"
    probe.authority.keys = [ProbeKey("after")]
    began = probe.clock()
    while True:
        reply = await ask(probe, api, token)
        took = probe.clock() - began
        if reply.status in {401, 403}:
            return Verdict.PASS, f"{reply.status} after {took:.0f} s"
        if took > _REFRESH + _SLACK:
            return Verdict.FAIL, f"{reply.status} still after {took:.0f} s"
        probe.progress(
            f"the key was withdrawn {took:.0f} s ago; a device may take an hour to drop it"
        )
        await probe.sleep(_PAUSE)


KEYS = (
    Trial(
        "keys-rotation",
        Suite.KEYS,
        "a new key, and the former one beside it",
        MISSING_KEY,
        "After the server changed its keys, clients are locked out.",
        _rotation,
    ),
    Trial(
        "keys-encryption",
        Suite.KEYS,
        "a token signed by a published key that is for encryption",
        rfc(7517, "4.2", "`use` says whether a key is for signatures or encryption", Force.STATED),
        "Keys that were made for another purpose can sign tokens.",
        partial(_bad, "encryption"),
    ),
    Trial(
        "keys-weak",
        Suite.KEYS,
        "a token signed by a published key of 1024 bits",
        rfc(7518, "3.3", "RSA keys have 2048 bits or more"),
        "Anyone who can break a weak key can make tokens for this device.",
        partial(_bad, "weak"),
    ),
)

WITHDRAWAL = (
    Trial(
        "withdrawal-key",
        Suite.WITHDRAWAL,
        "a token that was good, after its key was withdrawn",
        is_10(PUBLIC_KEYS, "keys are fetched at least once an hour", Force.SHOULD),
        "A key that was stolen opens the device for ever.",
        _withdrawal,
    ),
)
