"""The probe names each fault that it is made for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from nmos_auth.probe.catalogue import CATALOGUE
from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.rows import Suite
from nmos_auth.probe.running import Plan, Probe
from nmos_auth.probe.table import ROWS
from nmos_auth.probe.wire import Wire
from tests.probe.broken_node import FAULTS, BrokenNode
from tests.probe.broken_registry import REGISTRY_FAULTS, BrokenRegistry
from tests.probe.scene import AUDIENCE, KEYS, Clock, authorities, bad
from tests.support.servers import serving

Device = type[BrokenNode] | type[BrokenRegistry]

ALL = tuple(Suite)
SUITES = {each.id: each.suite for each in CATALOGUE}


class Bench:
    """A server on which one device after another is put."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the present device serve it."""
        assert self.app is not None
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Serve on loopback whatever is put there."""
    made = Bench()
    with serving(made, lifespan="off") as made.port:
        yield made


async def probed(
    bench: Bench, device: Device, *faults: str, suites: tuple[Suite, ...] = ALL
) -> list[Result]:
    """Run the probe on a device with these faults."""
    plan = Plan(AUDIENCE, suites, writes=True, rate=10000, patience=5, window=0.05)
    clock = Clock()
    async with authorities() as servers:
        bench.app = device(servers.authority.issuer, AUDIENCE, frozenset(faults), clock.now)
        probe = Probe(
            Wire("127.0.0.1", bench.port, None),
            servers.authority,
            servers.neighbour,
            plan,
            servers.outsider,
            clock=clock.now,
            sleep=clock.sleep,
            stranger=KEYS[2],
        )
        return [result async for result in probe.run()]


def of(results: Iterable[Result], verdict: Verdict) -> set[str]:
    """Return the ids of the results with a verdict."""
    return {each.id for each in results if each.verdict is verdict}


@pytest.mark.parametrize("device", [BrokenNode, BrokenRegistry])
async def test_nothing_is_found_in_a_device_without_faults(bench: Bench, device: Device) -> None:
    """Every row that fits it passes."""
    results = await probed(bench, device)
    assert bad(results) == set()
    assert of(results, Verdict.UNTESTED) == set()
    inapplicable = {each.suite for each in results if each.verdict is Verdict.INAPPLICABLE}
    assert inapplicable == (
        {"registry", "subscriptions"}
        if device is BrokenNode
        else {"handshakes", "connection", "events", "resources"}
    )


@dataclass(frozen=True)
class Named:
    """What a fault must set off.

    Attributes:
        rows: those that must name it.
        more: further ones that it may set off; "SUITE*" for any of a suite, "*" for any at all.
    """

    rows: frozenset[str]
    more: frozenset[str] = frozenset()


def named(*rows: str, more: Iterable[str] = ()) -> Named:
    """Return what a fault must set off."""
    return Named(frozenset(rows), frozenset(more))


# What remains closed in a Node that asks for no token, since it is malformed, or is not there.
CLOSED = {
    *("credentials-no-token", "credentials-trailing", "credentials-list", "credentials-comma"),
    *("credentials-quotes", "credentials-parameter", "credentials-twice"),
    *("credentials-good-and-bad", "credentials-bad-and-good", "credentials-basic-and-good"),
    *("paths-dots-twice", "paths-slash-escaped", "paths-backslash", "paths-parameters"),
    *("paths-overlong", "paths-overlong-slash", "paths-wide-dots", "paths-query-dots"),
    *("paths-bad-escape", "paths-bad-utf-8", "paths-surrogate", "paths-open-parameters"),
    *("paths-open-null", "paths-open-newline"),
    *("paths-open-double-slash", "paths-open-inner-slash", "connection-staged-granted"),
}
OPENED = {
    row.id
    for row in ROWS
    if min(row.passes) >= 300 and row.api in {None, "connection"} and row.id not in CLOSED
}

NODE: Mapping[str, Named] = {
    "open": named(*OPENED, more="*"),
    "open below": named("credentials-none-below", "jose-stranger", more="*"),
    "alg none": named(
        "jose-alg-none-1",
        "jose-alg-none-2",
        "jose-alg-none-3",
        "jose-alg-none-signed",
        more=("jose-header-duplicate",),
    ),
    "alg hmac": named(
        "jose-alg-hs256", "jose-alg-hs512", "jose-alg-hs512-modulus", "jose-alg-hs512-empty"
    ),
    "alg any rsa": named("jose-alg-rs256", "jose-alg-rs384", "jose-alg-ps512"),
    "alg case": named("jose-alg-lower-case"),
    "no signature check": named(
        "jose-stranger", "jose-no-signature", "jose-changed", "issuers-borrowed-name", more="*"
    ),
    "embedded key": named("jose-jwk"),
    "jku followed": named("jose-jku", "issuers-followed"),
    "x5u asked": named("issuers-followed"),
    "crit ignored": named("jose-crit", "jose-crit-malformed", "jose-crit-empty", "jose-crit-text"),
    "crit crashes": named("jose-crit-malformed"),
    "kid trusted": named(
        "jose-stranger-kid",
        more=(
            *("jose-no-signature", "jose-changed", "jose-alg-*", "jose-signature-*"),
            *("jose-padded", "jose-tilde"),
        ),
    ),
    "kid crashes": named("jose-kid-number", "jose-kid-list"),
    "kid needed": named("jose-no-kid", "jose-kid-empty", more=("jose-header-*",)),
    "typ ignored": named("jose-type"),
    "typ needed": named("jose-type-none", "jose-type-lower-case", "jose-type-at-jwt"),
    "segments loose": named("jose-four-segments"),
    "base64 loose": named("jose-padded", "jose-tilde"),
    "duplicates first": named(
        "jose-header-duplicate", "claims-duplicate", "claims-nan", more=("claims-number-huge",)
    ),
    "exp ignored": named(
        *("times-expired-hour", "times-expired-minute", "times-expired-moment"),
        *("times-exp-zero", "times-exp-negative", "times-remembered"),
        *("handshake-expired", "handshake-query-expired"),
    ),
    "exp cached": named("times-remembered", more=("withdrawal-key",)),
    "exp leeway": named("times-expired-moment", "times-remembered"),
    "exp text": named("times-exp-text-ahead"),
    "nbf ignored": named("times-future-nbf", "times-future-nbf-minute"),
    "iat ignored": named("times-future-iat", "times-future-iat-minute", "times-tai"),
    "no exp needed": named("claims-no-exp"),
    "sub not needed": named("claims-no-sub", more=("claims-sub-*",)),
    "client not needed": named("claims-no-client"),
    "azp refused": named("claims-azp"),
    "aud ignored": named(
        *("audience-other", "audience-empty", "audience-port", "handshake-audience"),
        "claims-no-aud",
        more=("audience*", "claims-aud-*", "claims-duplicate"),
    ),
    "aud first only": named("audience-second", "audience-between"),
    "aud substring": named(
        "audience-prefix", "audience-suffix", "audience-part", more=("audience*",)
    ),
    "aud expression": named("audience-expression"),
    "aud port": named("audience-port", "audience-path", "audience-query"),
    "aud wildcard anywhere": named("audience-wildcard-no-dot", "audience-wildcard-last"),
    "issuer ignored": named("issuers-borrowed-key", "claims-issuer-slash"),
    "issuer prefix": named("claims-issuer-slash"),
    "any issuer asked": named("issuers-outsider-asked"),
    "any issuer accepted": named(
        "issuers-outsider", "issuers-outsider-asked", more=("issuers-*", "claims-issuer-slash")
    ),
    "keys shared": named("issuers-confusion", more=("issuers-*",)),
    "no refetch": named("keys-rotation", "outages-return"),
    "keys kept": named("withdrawal-key"),
    "keys lost": named(
        *("outages-gone", "outages-failing", "outages-rubbish", "outages-keyless"),
        more=("outages-hanging", "outages-return"),
    ),
    "no keys opens": named(
        *("outages-gone-forged", "outages-failing-forged", "outages-rubbish-forged"),
        *("outages-keyless-forged", "outages-hanging-forged"),
        more=("outages-*",),
    ),
    "waits for keys": named("outages-hanging", more=("outages-*",)),
    "encryption keys": named("keys-encryption"),
    "weak keys": named("keys-weak"),
    "503 for ever": named("jose-stranger", "issuers-borrowed-name", "issuers-neighbour", more="*"),
    "scope substring": named("permissions-base-longer-scope", more=("permissions-base-*",)),
    "scope opens all": named("permissions-scope-below", more="*"),
    "regular expressions": named(
        *("permissions-regex-dot", "permissions-regex-all", "permissions-regex-or"),
        *("permissions-regex-class", "permissions-regex-anchors"),
        more=(
            "permissions-regex-group",
            "permissions-wildcard-*",
            "permissions-question-mark",
            "events-expression",
        ),
    ),
    "prefix match": named("permissions-prefix", "events-start", more="*"),
    "star within segment": named(
        "connection-example-start", "connection-staged-granted", more=("connection-*",)
    ),
    "case ignored": named("permissions-case"),
    "query matched": named(
        "permissions-query-ignored", "permissions-query-no-path", more=("credentials-query",)
    ),
    "write reads": named(
        "permissions-write-only", "permissions-head-write-only", more=("events-write",)
    ),
    "read writes": named(
        "writes-delete-read",
        "writes-patch-read",
        "connection-staged-read",
        more=("writes*", "connection-*"),
    ),
    "claim text": named("permissions-claim-text", "permissions-read-text"),
    "query token": named("credentials-query"),
    "cookie token": named("credentials-cookie", "handshake-cookie"),
    "header token": named(
        *("credentials-x-authorization", "credentials-proxy", "credentials-forwarded"),
        *("credentials-access-token", "credentials-protocol"),
    ),
    "any scheme": named(
        *("credentials-basic-token", "credentials-dpop", "credentials-longer-scheme"),
        *("credentials-shorter-scheme",),
    ),
    "scheme exact": named(
        "credentials-scheme-case", "credentials-scheme-capitals", more=("answers-code",)
    ),
    "trailing accepted": named(
        *("credentials-trailing", "credentials-list", "credentials-comma"),
        *("credentials-parameter", "credentials-quotes"),
    ),
    "claim types": named(
        "claims-sub-number", "claims-client-number", "claims-azp-number", more=("claims-*",)
    ),
    "unknown claims refused": named("claims-more"),
    "aud scheme refused": named(
        *("audience-scheme", "audience-scheme-http"), more=("audience-wildcard-scheme",)
    ),
    "aud wildcard refused": named(
        "audience-wildcard", "audience-wildcard-scheme", "audience-wildcard-part"
    ),
    "nbf refused": named("times-past-nbf"),
    "iat needed": named("times-no-iat"),
    "segments crash": named(
        "jose-two-segments", "jose-four-segments", "credentials-rubbish", more="*"
    ),
    "JSON crashes": named(
        "jose-header-not-json", "jose-payload-not-json", "claims-number-huge", more="*"
    ),
    "scope needed": named("permissions-base-claim", "permissions-base-write-claim", more="*"),
    "scope never enough": named("permissions-base-scope", "permissions-base-scope-among", more="*"),
    "star at the end only": named(
        *("permissions-wildcard-middle", "permissions-wildcard-nothing"),
        "connection-example-middle",
        more="*",
    ),
    "slash before specifiers": named("permissions-slash", "permissions-slash-all"),
    "specifiers split": named("permissions-space", "permissions-joined"),
    "true grants": named(
        "permissions-claim-true", "permissions-read-true", "permissions-base-claim-true"
    ),
    "slashes open": named("paths-open-double-slash", "paths-open-inner-slash"),
    "code without a token": named("answers-no-code"),
    "no code": named("answers-code"),
    "first header only": named(
        "credentials-twice", more=("credentials-good-and-bad", "credentials-*good")
    ),
    "unknown methods": named("methods-trace-token", "methods-propfind-token"),
    "path undecoded": named(
        "paths-dots-escaped", "paths-dots-mixed", more=("paths*", "connection-example-dots")
    ),
    "path raw dots": named("paths-dots", "connection-example-dots", more=("paths*",)),
    "capitals open": named("paths-open-capitals"),
    "absolute open": named("paths-open-absolute", "paths-open-absolute-dots"),
    "overlong decoded": named("paths-overlong", "paths-overlong-slash", more=("paths*",)),
    "no challenge": named("answers-challenge", more=("answers-code",)),
    "no retry-after": named("answers-retry-after", more="*"),
    "redirects": named("answers-no-redirect", more="*"),
    "preflight 401": named("preflight", "preflight-patch"),
    "head open": named("methods-head", more=("methods-override", "permissions-head-write-only")),
    "no cors": named("answers-cors"),
    "plain errors": named("answers-json"),
    "token in error": named("answers-no-token"),
    "trace in error": named("answers-no-trace", more=("jose-kid-number", "jose-kid-list")),
    "root protected": named(
        *("public-root", "public-x-nmos", "public-x-nmos-slash", "public-head"),
        *("public-bad-token", "public-basic", "public-expired", "credentials-query-public"),
        more="*",
    ),
    "transport file open": named(
        "connection-file-none", "connection-file-other", "resources-manifest-none"
    ),
    "transport file redirected": named("connection-file-granted", "answers-no-redirect"),
    "staged open": named(
        "connection-staged-none", "connection-staged-read", "connection-staged-other"
    ),
    "authorization untold": named("resources-endpoints", "resources-controls"),
    "manifest elsewhere": named("resources-manifest"),
    "handshake open": named(
        *("handshake-none", "handshake-stranger", "handshake-rubbish", "events-all"),
        more=("handshake*", "events-*"),
    ),
    "handshake scope unchecked": named("handshake-other-api"),
    "handshake query refused": named("handshake-query"),
    "handshake audience unchecked": named("handshake-audience"),
    "events unchecked": named(
        *("events-scope", "events-other", "events-write", "events-start", "events-two"),
        *("events-expression",),
    ),
    "events by scope": named("events-scope", "events-other", more=("events-*",)),
    "events all or nothing": named("events-two"),
    "events need claims": named("events-health", "handshake-scope"),
    "kid unknown refused": named("jose-kid-unknown"),
    "header keys refused": named("jose-beside-jwk", "jose-beside-jku"),
    "azp beside refused": named("claims-azp-both"),
    "scope required": named("claims-no-scope", more="*"),
    "aud list needed": named("claims-aud-string"),
    "whole seconds": named("times-fraction"),
    "wildcards needed": named(
        *("permissions-exact", "permissions-several", "permissions-query-ignored"),
        *("paths-escaped", "events-exact"),
        more=("paths-*", "connection-*", "events-*"),
    ),
    "star not empty": named(
        "permissions-wildcard-end", "permissions-wildcard-nothing", more=("permissions-*",)
    ),
    "stars refused": named("permissions-wildcard-double"),
    "one specifier refused": named("credentials-good", "permissions-everything", more="*"),
    "unknown permissions refused": named("permissions-more-keys"),
    "malformed opens": named(
        *("credentials-no-token", "credentials-trailing", "credentials-list", "credentials-comma"),
        *("credentials-quotes", "credentials-parameter", "credentials-twice"),
        *("credentials-good-and-bad", "credentials-bad-and-good", "credentials-basic-and-good"),
        *("handshake-query-twice", "handshake-query-bad", "handshake-both"),
        more=("credentials-*", "public-*"),
    ),
    "decoded twice": named("paths-dots-twice"),
    "slashes escaped": named("paths-slash-escaped", "paths-backslash"),
    "parameters stripped": named("paths-parameters", "paths-open-parameters"),
    "wide dots folded": named("paths-wide-dots"),
    "query in path": named("paths-query-dots", more="*"),
    "controls open": named("paths-open-null", "paths-open-newline"),
    "bad paths crash": named("paths-bad-escape", "paths-bad-utf-8", "paths-surrogate"),
    "slash at the end refused": named("paths-slash-end", more=("connection-*",)),
    "absolute refused": named("paths-absolute"),
    "head refused": named(
        "methods-head-token", "methods-head", "public-head", more=("methods-*", "permissions-head*")
    ),
    "handshake header refused": named(
        "handshake-header", "handshake-scope", more=("handshake-*", "events-*")
    ),
}

REGISTRY: Mapping[str, Named] = {
    "ownership on POST alone": named(
        *("registry-other-heartbeat", "registry-other-delete-device"),
        *("registry-other-delete-node", "registry-still-there"),
        more=("registry-heartbeat-capitals", "registry-own-*"),
    ),
    "ownership of Nodes alone": named(
        *("registry-other-device", "registry-other-new-device", "registry-other-move"),
        *("registry-move-to-other", "registry-other-delete-device", "registry-still-there"),
    ),
    "heartbeats unchecked": named("registry-other-heartbeat", "registry-heartbeat-capitals"),
    "heartbeats open": named(
        *("registry-heartbeat-none", "registry-heartbeat-read", "registry-other-heartbeat"),
        more=("registry-heartbeat-*",),
    ),
    "deletions unchecked": named(
        *("registry-other-delete-device", "registry-other-delete-node", "registry-still-there"),
        more=("registry-own-*",),
    ),
    "new resources unchecked": named("registry-other-new-device"),
    "moves unchecked": named(
        "registry-move-to-other", more=("registry-other-*", "registry-still-*", "registry-own-*")
    ),
    "heartbeats refused": named(
        "registry-own-heartbeat", "registry-heartbeat-azp", "registry-heartbeat-other-user"
    ),
    "deletions refused": named("registry-own-delete"),
    "owner by user": named(
        *("registry-other-heartbeat", "registry-other-node", "registry-other-device"),
        *("registry-heartbeat-other-user",),
        more=("registry*",),
    ),
    "owner by user of Nodes": named("registry-other-heartbeat", more=("registry*",)),
    "owner without azp": named("registry-heartbeat-azp"),
    "owner blind to case": named("registry-heartbeat-capitals"),
    "refused and deleted": named("registry-still-there", more=("registry-own-*",)),
    "refused without a code": named(
        "registry-other-node", "registry-other-delete-node", more=("registry-other-*", "answers-*")
    ),
    "nobody owns anything": named(
        "registry-other-heartbeat", "registry-other-node", more=("registry*",)
    ),
    "reading deletes": named("registry-still-there", more=("registry-own-*",)),
    "registrations final": named("registry-own-device"),
    "subscriptions open": named(
        *("subscriptions-make-none", "subscriptions-make-read", "subscriptions-make-elsewhere"),
        more=("writes*",),
    ),
    "subscriptions need no claim": named(
        *("subscriptions-make-read", "subscriptions-make-elsewhere", "subscriptions-upgrade-read"),
    ),
    "subscriptions need any claim": named("subscriptions-make-elsewhere"),
    "subscriptions refused": named("subscriptions-make-write"),
    "upgrade unchecked": named("subscriptions-upgrade-read"),
    "upgrade unread": named("subscriptions-upgrade-other"),
    "sockets open": named(
        *("subscriptions-connect-none", "subscriptions-connect-stranger"),
        more=("subscriptions-connect-*",),
    ),
    "sockets need no claim": named(
        *("subscriptions-connect-other", "subscriptions-connect-one"),
        *("subscriptions-connect-write", "subscriptions-connect-scope"),
        *("subscriptions-connect-path", "subscriptions-upgrade-other"),
    ),
    "sockets need any Node": named("subscriptions-connect-one"),
    "sockets need their path": named(
        "subscriptions-connect-path", "subscriptions-connect-read", "subscriptions-connect-query"
    ),
    "sockets audience unchecked": named("subscriptions-connect-audience"),
    "sockets query refused": named("subscriptions-connect-query"),
    "sockets expired": named(
        "subscriptions-connect-expired", more=("subscriptions-connect-stranger",)
    ),
}

CASES = [
    *(pytest.param(BrokenNode, fault, id=fault) for fault in FAULTS),
    *(pytest.param(BrokenRegistry, fault, id=fault) for fault in REGISTRY_FAULTS),
]


def test_every_fault_has_its_rows() -> None:
    """None of the switches is forgotten."""
    assert set(NODE) == set(FAULTS)
    assert set(REGISTRY) == set(REGISTRY_FAULTS)


def test_every_row_can_fail() -> None:
    """A switch makes it, whose own test says that it does."""
    named_ids = {
        each for faults in (NODE, REGISTRY) for wanted in faults.values() for each in wanted.rows
    }
    assert SUITES.keys() - named_ids == {"answers-prompt"}  # of which test_reports knows


def unexpected(found: Iterable[str], wanted: Named) -> set[str]:
    """Return what a fault set off that it must not."""
    if "*" in wanted.more:
        return set()
    starts = tuple(each[:-1] for each in wanted.more if each.endswith("*"))
    return {each for each in found if not each.startswith(starts or ("\0",))} - (
        wanted.rows | wanted.more
    )


async def found_in(
    bench: Bench, device: Device, fault: str, suites: tuple[Suite, ...]
) -> tuple[set[str], Named]:
    """Return what the probe finds in a device with a fault, and what it should."""
    # A trace is shown where something fails, and no 503 comes from a device that knows at once.
    beside = {"trace in error": "kid crashes", "no retry-after": "503 for ever"}
    faults = [fault, *filter(None, [beside.get(fault)])]
    results = await probed(bench, device, *faults, suites=suites)
    return bad(results), (NODE if device is BrokenNode else REGISTRY)[fault]


@pytest.mark.parametrize(("device", "fault"), CASES)
async def test_each_fault_is_named(bench: Bench, device: Device, fault: str) -> None:
    """By the rows that are made for it, when the suites are tried that these belong to."""
    wanted = (NODE if device is BrokenNode else REGISTRY)[fault]
    suites = tuple(dict.fromkeys(SUITES[each] for each in sorted(wanted.rows)))
    if Suite.ANSWERS in suites:
        # What is looked at in every answer needs some.
        suites += (Suite.CREDENTIALS, Suite.JOSE)
    found, _ = await found_in(bench, device, fault, suites)
    assert wanted.rows <= found
    assert unexpected(found, wanted) == set()


@pytest.mark.slow
@pytest.mark.parametrize(("device", "fault"), CASES)
async def test_each_fault_is_named_by_nothing_else(
    bench: Bench, device: Device, fault: str
) -> None:
    """Of all rows, those of another kind do not complain."""
    found, wanted = await found_in(bench, device, fault, ALL)
    assert wanted.rows <= found
    assert unexpected(found, wanted) == set()
