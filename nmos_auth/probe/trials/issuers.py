"""Servers that only tokens name: whether their tokens are accepted, and they are asked for keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.rows import Force, Suite, is_10, practice, rfc
from nmos_auth.probe.sentences import ANY_SERVER, ASKS_ANYBODY, ISSUERS_KEYS, PUBLIC_KEYS
from nmos_auth.probe.trials.trial import Outcome, Trial, until_settled

if TYPE_CHECKING:
    from nmos_auth.probe.authority import ProbeAuthority
    from nmos_auth.probe.device import Api
    from nmos_auth.probe.mint import Mint
    from nmos_auth.probe.running import Probe

__all__ = ["ISSUERS"]

_ONE_NAME = Verdict.UNTESTED, "the probe has only one name; --other-name is not given"


def _published(mint: Mint, server: ProbeAuthority) -> str:
    """Sign a token of another server with the key that this server publishes."""
    claims = mint.claims(iss=server.issuer, iat=int(mint.now()) - 5)
    return mint.signed(claims, key=server.keys[0])


async def _followed(probe: Probe, api: Api) -> Outcome:
    mint = probe.mint(api.places)
    before = probe.neighbour.connections
    for member in ("jku", "x5u"):
        header = {member: f"{probe.neighbour.issuer}/{member}", "kid": probe.neighbour.keys[0].kid}
        await until_settled(
            probe, api, mint.signed(mint.claims(), header=header, key=probe.neighbour.keys[0])
        )
    came = probe.neighbour.connections - before
    if came:
        return Verdict.FAIL, f"{came} connections to the URL in a stranger's token"
    return Verdict.PASS, "no connection to the URL in a stranger's token"


async def _neighbour(probe: Probe, api: Api) -> Outcome:
    before = probe.neighbour.connections
    reply = await until_settled(probe, api, _published(probe.mint(api.places), probe.neighbour))
    asked = (
        "the server was asked for keys"
        if probe.neighbour.connections > before
        else "the server was not asked for keys"
    )
    verdict = Verdict.PASS if reply.status in {200, 401} else Verdict.WARNING
    return verdict, f"{reply.status}, {asked}"


async def _confusion(probe: Probe, api: Api) -> Outcome:
    mint = probe.mint(api.places)
    token = mint.signed(mint.claims(), key=probe.neighbour.keys[0])
    reply = await until_settled(probe, api, token)
    return (Verdict.FAIL if reply.status == 200 else Verdict.PASS), str(reply.status)


async def _outsider(probe: Probe, api: Api) -> Outcome:
    if probe.outsider is None:
        return _ONE_NAME
    reply = await until_settled(probe, api, _published(probe.mint(api.places), probe.outsider))
    return (Verdict.FAIL if reply.status == 200 else Verdict.PASS), str(reply.status)


async def _asked(probe: Probe, _: Api) -> Outcome:
    if probe.outsider is None:
        return _ONE_NAME
    came = probe.outsider.connections - probe.outsider_met
    return (Verdict.WARNING if came else Verdict.PASS), f"{came} connections"


ISSUERS = (
    Trial(
        "issuers-followed",
        Suite.ISSUERS,
        "whether a URL in a token's header is followed",
        rfc(
            8725, "3.10", "arbitrary URLs of `jku` and `x5u` are not followed blindly", Force.SHOULD
        ),
        ASKS_ANYBODY,
        _followed,
    ),
    Trial(
        "issuers-neighbour",
        Suite.ISSUERS,
        "a server on the same host that only tokens name",
        is_10(
            PUBLIC_KEYS, "a missing key is looked for at the server that `iss` names", Force.SHOULD
        ),
        "Clients that get their tokens from a second server of the plant wait for ever.",
        _neighbour,
    ),
    Trial(
        "issuers-confusion",
        Suite.ISSUERS,
        "the trusted issuer's name, with the key of a server that the device met before",
        ISSUERS_KEYS,
        "Every server whose keys the device has fetched can make tokens in any issuer's name.",
        _confusion,
    ),
    Trial(
        "issuers-outsider",
        Suite.ISSUERS,
        "a server under another name that only tokens name",
        practice(
            "an issuer is trusted because the plant configures it, not because a token names it"
        ),
        ANY_SERVER,
        _outsider,
    ),
    Trial(
        "issuers-outsider-asked",
        Suite.ISSUERS,
        "whether a server that only tokens name was asked for keys",
        practice(
            "IS-10 looks for keys where `iss` says; safe implementations ask only known servers"
        ),
        ASKS_ANYBODY,
        _asked,
    ),
)
