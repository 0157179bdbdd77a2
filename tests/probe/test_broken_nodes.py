"""The probe names each fault that it is made for, and nothing else."""

from __future__ import annotations

import pytest

from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.rows import Suite
from nmos_auth.probe.running import Plan, Probe
from nmos_auth.probe.wire import Wire
from tests.probe.broken_node import FAULTS, BrokenNode
from tests.probe.scene import AUDIENCE, KEYS, Clock, authorities, bad
from tests.support.servers import serving


async def probed(*faults: str, suites: tuple[Suite, ...] = (), writes: bool = True) -> list[Result]:
    """Run the probe on a Node with these faults."""
    plan = Plan(AUDIENCE, suites, writes=writes, rate=10000, patience=5)
    clock = Clock()
    async with authorities() as (authority, neighbour):
        node = BrokenNode(authority.issuer, AUDIENCE, frozenset(faults), clock=clock.now)
        with serving(node, lifespan="off") as port:
            wire = Wire("127.0.0.1", port, None)
            probe = Probe(
                wire,
                authority,
                neighbour,
                plan,
                clock=clock.now,
                sleep=clock.sleep,
                stranger=KEYS[2],
            )
            return [result async for result in probe.run()]


async def test_nothing_is_found_in_a_node_without_faults() -> None:
    """Every row that can be tried passes; WebSockets it has none."""
    results = await probed()
    assert bad(results) == set()
    assert sum(each.verdict is Verdict.PASS for each in results) > 130
    inapplicable = {each.suite for each in results if each.verdict is Verdict.INAPPLICABLE}
    assert inapplicable == {"handshakes"}


# Each fault, the rows that must name it, and the further ones that it may set off.
NAMED: dict[str, tuple[set[str], set[str]]] = {
    "open": ({"credentials-none", "jose-stranger", "writes-delete-none"}, {"*"}),
    "open below": ({"credentials-none-below", "jose-stranger"}, {"*"}),
    "alg none": ({"jose-alg-none-1", "jose-alg-none-2", "jose-alg-none-3"}, set()),
    "alg hmac": ({"jose-alg-hs256", "jose-alg-hs512"}, set()),
    "alg any rsa": ({"jose-alg-rs256", "jose-alg-ps512"}, set()),
    "no signature check": (
        {"jose-stranger", "jose-no-signature", "jose-changed", "issuers-borrowed-name"},
        {"*"},
    ),
    "embedded key": ({"jose-jwk"}, set()),
    "crit ignored": ({"jose-crit", "jose-crit-malformed"}, set()),
    "crit crashes": ({"jose-crit-malformed"}, set()),
    "kid trusted": (
        {"jose-stranger-kid"},
        {"jose-no-signature", "jose-changed", "jose-alg-mismatch"},
    ),
    "kid crashes": ({"jose-kid-number", "jose-kid-list"}, set()),
    "typ ignored": ({"jose-type"}, set()),
    "exp ignored": (
        {"times-expired-hour", "times-expired-moment", "times-exp-zero", "times-remembered"},
        {"times-expired-minute"},
    ),
    "exp cached": ({"times-remembered"}, set()),
    "exp leeway": ({"times-expired-moment", "times-remembered"}, set()),
    "nbf ignored": ({"times-future-nbf"}, set()),
    "iat ignored": ({"times-future-iat"}, set()),
    "no exp needed": ({"claims-no-exp"}, set()),
    "sub not needed": ({"claims-no-sub"}, set()),
    "client not needed": ({"claims-no-client"}, set()),
    "aud ignored": ({"audience-other", "audience-empty", "audience-port"}, {"*audience"}),
    "aud first only": ({"audience-second", "audience-between"}, set()),
    "aud substring": ({"audience-prefix", "audience-suffix", "audience-part"}, {"*audience"}),
    "aud expression": ({"audience-expression"}, set()),
    "aud port": ({"audience-port", "audience-path"}, set()),
    "issuer ignored": (
        {"issuers-borrowed-key", "claims-issuer-slash"},
        set(),
    ),
    "issuer prefix": ({"claims-issuer-slash"}, set()),
    "scope substring": ({"permissions-base-longer-scope"}, set()),
    "scope opens all": ({"permissions-scope-below"}, {"*"}),
    "regular expressions": (
        {"permissions-regex-dot", "permissions-regex-all", "permissions-regex-or"},
        {"permissions-regex-group", "permissions-wildcard-double"},
    ),
    "prefix match": ({"permissions-prefix"}, {"*"}),
    "case ignored": ({"permissions-case"}, set()),
    "query matched": ({"permissions-query-ignored", "permissions-query-no-path"}, set()),
    "write reads": ({"permissions-write-only"}, set()),
    "claim text": ({"permissions-claim-text", "permissions-read-text"}, set()),
    "path undecoded": ({"paths-dots-escaped", "paths-dots-mixed"}, {"*paths"}),
    "path raw dots": ({"paths-dots"}, {"*paths"}),
    "capitals open": ({"paths-open-capitals"}, set()),
    "query token": ({"credentials-query"}, set()),
    "cookie token": ({"credentials-cookie"}, set()),
    "first header only": ({"credentials-twice"}, set()),
    "no challenge": ({"answers-challenge"}, {"answers-code"}),
    "preflight 401": ({"preflight"}, set()),
    "head open": ({"methods-head"}, {"methods-override"}),
    "no cors": ({"answers-cors"}, set()),
    "plain errors": ({"answers-json"}, set()),
    "token in error": ({"answers-no-token"}, set()),
    "trace in error": ({"answers-no-trace"}, {"jose-kid-number", "jose-kid-list"}),
    "root protected": ({"public-x-nmos", "public-x-nmos-slash", "public-bad-token"}, {"*"}),
    "read writes": ({"writes-delete-read", "writes-patch-read"}, {"*writes"}),
}


def test_every_fault_has_its_rows() -> None:
    """None of the switches is forgotten."""
    assert set(NAMED) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_is_named(fault: str) -> None:
    """By the rows that are made for it; no row of another kind complains."""
    named, others = NAMED[fault]
    faults = (fault, "kid crashes") if fault == "trace in error" else (fault,)
    found = bad(await probed(*faults))
    assert named <= found
    if "*" in others:
        return
    suites = {each[1:] for each in others if each.startswith("*")}
    unexpected = {
        each
        for each in found - named - others
        if not any(each.startswith(f"{suite}-") for suite in suites)
    }
    assert unexpected == set()
