"""`nmos-auth explain`: why a token permits a request, or does not, step by step.

The answer comes from the middleware itself, which runs in this process with the Node's settings.
The steps explain it: they read the same claims by the same rules.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from nmos_auth.errors import MalformedTarget
from nmos_auth.operate.in_process import MiddlewareAnswer, Request, running
from nmos_auth.operate.permission_steps import audience_lines, permission_line, permitted_lines
from nmos_auth.operate.reading import ReadToken, read_token
from nmos_auth.rules.paths import ApiPath, Location, locate
from nmos_auth.rules.tokens import ALGORITHM, FARTHEST_DATE
from nmos_auth.settings import IssuerPolicy, Settings
from nmos_auth.trust.status import TrustStatus

__all__ = ["Explanation", "Outcome", "Step", "explain", "list_permissions"]

_PATIENCE = 15.0
_PAUSE = 0.1


class Outcome(StrEnum):
    """What the Node would do."""

    PERMITTED = "permitted"
    REFUSED = "refused"
    UNKNOWN = "cannot tell"

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 0, 1 or 3, since 2 is for the command line."""
        return {Outcome.PERMITTED: 0, Outcome.REFUSED: 1, Outcome.UNKNOWN: 3}[self]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the explanation.

    Attributes:
        name: what was checked, in a word or two.
        text: what was found.
        good: whether it is as the request requires; None if it does not decide anything.
    """

    name: str
    text: str
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the Node would answer, and why.

    Attributes:
        outcome: permitted, refused, or cannot tell.
        steps: the steps, in the order of the decision.
        answer: the answer of the middleware.
    """

    outcome: Outcome
    steps: tuple[Step, ...]
    answer: MiddlewareAnswer

    @property
    def reason(self) -> str | None:
        """The reason in the audit log."""
        reason = self.answer.record.get("reason")
        return reason if isinstance(reason, str) else None


async def explain(
    request: Request,
    token: str | None,
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    progress: Callable[[str], None] = lambda _: None,
    patience: float = _PATIENCE,
) -> Explanation:
    """Send a request with a token to the middleware, and explain its answer.

    Args:
        request: method, URL and root path; its headers get the token.
        token: the access token, or None.
        settings: the settings of the Node.
        clock: seconds since 1970 UTC, for the token's times.
        progress: called with what is waited for.
        patience: seconds to wait for keys that are being fetched.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    asked = request
    if token is not None:
        header = (b"authorization", b"Bearer " + token.encode("utf-8", "surrogateescape"))
        asked = replace(request, headers=(*request.headers, header))
    async with running(settings, clock) as middleware:
        answer = await _final_answer(middleware.ask, asked, progress, patience)
        trust = middleware.trust()
    steps = list(_request_steps(request))
    if token is None:
        steps.insert(0, Step("token", "none was given"))
    else:
        read = read_token(token)
        policy, pending = settings.issuer_policy, answer.status == 503
        found = [] if trust is None else list(_key_steps(read, trust, policy, pending=pending))
        steps = [*_token_steps(read, request, settings, clock()), *found, *steps]
    return Explanation(_outcome(answer), tuple(steps), answer)


def list_permissions(token: str) -> list[str]:
    """Return all that a token says it permits, API by API, unverified."""
    read = read_token(token)
    if read.claims is None:
        return [read.trouble]
    return permitted_lines(read.claims, _scopes(read))


def _outcome(answer: MiddlewareAnswer) -> Outcome:
    if answer.status == 503:
        return Outcome.UNKNOWN
    return Outcome.REFUSED if answer.status >= 400 else Outcome.PERMITTED


async def _final_answer(
    ask: Callable[[Request], Awaitable[MiddlewareAnswer]],
    request: Request,
    progress: Callable[[str], None],
    patience: float,
) -> MiddlewareAnswer:
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        answer = await ask(request)
        left = deadline - asyncio.get_running_loop().time()
        if answer.status != 503 or left <= 0:
            return answer
        progress("keys are being fetched")
        await asyncio.sleep(min(_PAUSE, left))


# Steps


def _token_steps(
    read: ReadToken, request: Request, settings: Settings, now: float
) -> Iterator[Step]:
    if read.header is None or read.claims is None:
        yield Step("token", read.trouble, good=False)
        return
    yield _header_step(read.header)
    yield from _claim_steps(read.claims)
    yield from _time_steps(read.claims, now, settings.leeway)
    for good, text in audience_lines(read.claims.get("aud"), settings.audience):
        yield Step("aud", text, good=good)
    target = _target(request)
    if target is not None and not target.is_root and not request.is_handshake:
        scopes = _scopes(read)
        good, text = permission_line(read.claims, scopes, request.method.upper(), target)
        yield Step("permission", text, good=good)


def _key_steps(
    read: ReadToken, trust: TrustStatus, policy: IssuerPolicy, *, pending: bool
) -> Iterator[Step]:
    """Yield whether the issuer is trusted and why, and which of its keys are held."""
    named = read.text_of("iss")
    if read.header is None or named is None:
        return
    issuer = next((each for each in trust.issuers if each.url == named), None)
    if issuer is None:
        known = ", ".join(each.url for each in trust.issuers) or "nobody yet"
        text = f"not trusted (policy {policy.value}); trusted are {known}"
        yield Step("issuer", text, good=False)
        return
    yield Step("issuer", f"trusted: {issuer.source.value}", good=True)
    if not issuer.keys:
        trouble = f": {issuer.error}" if issuer.error else ""
        # An answer that does not depend on keys does not wait for them.
        yield Step("keys", f"none is held{trouble}", good=False if pending or trouble else None)
        return
    names = ", ".join(f"{each.kid!r:.60}" for each in issuer.keys)
    age = "" if issuer.since_fetch is None else f", fetched {issuer.since_fetch:.0f} s ago"
    kid = read.header.get("kid")
    held = kid is None or any(each.kid == kid for each in issuer.keys)
    text = f"held: {names}{age}"
    yield Step("keys", text if held else f"{text}; none is named {kid!r:.60}", good=held or None)


def _header_step(header: Mapping[str, object]) -> Step:
    alg, kid = header.get("alg"), header.get("kid")
    named = f", kid {kid!r:.80}" if kid is not None else ", no kid"
    if alg != ALGORITHM:
        return Step("alg", f"{alg!r:.40}{named}; IS-10 requires {ALGORITHM}", good=False)
    for extension in ("crit", "b64"):
        if extension in header:
            text = f"it has `{extension}`, which Nodes do not support"
            return Step("header", text, good=False)
    return Step("alg", f"{ALGORITHM}{named}", good=True)


def _claim_steps(claims: Mapping[str, object]) -> Iterator[Step]:
    client = "client_id" if "client_id" in claims or "azp" not in claims else "azp"
    for name, required in (("iss", True), ("sub", True), (client, True), ("scope", False)):
        value = claims.get(name)
        if isinstance(value, str) and (value or not required):
            yield Step(name, f"{value!r:.160}", good=True)
        elif name not in claims:
            yield Step(name, "missing", good=False if required else None)
        else:
            yield Step(name, f"{value!r:.80} is not a string, or is empty", good=False)


def _time_steps(claims: Mapping[str, object], now: float, leeway: float) -> Iterator[Step]:
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name)
        if value is None:
            yield Step(name, "missing", good=False if name == "exp" else None)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            text = f"{value!r:.80} is not a number of seconds since 1970"
            yield Step(name, text, good=False)
        elif abs(value) > FARTHEST_DATE:
            yield Step(name, "beyond any date", good=False)
        else:
            yield _time_step(name, value - now, leeway)


def _time_step(name: str, off: float, leeway: float) -> Step:
    if name == "exp":
        text = f"in {off:.0f} s" if off > 0 else f"{-off:.0f} s ago: it has expired"
        return Step(name, text, good=off > 0)
    if off <= 0:
        return Step(name, f"{-off:.0f} s ago", good=True)
    text = f"{off:.1f} s in the future by this host's clock; {leeway:g} s are allowed"
    return Step(name, text, good=off <= leeway)


def _scopes(read: ReadToken) -> frozenset[str]:
    return frozenset((read.text_of("scope") or "").split(" ")) - {""}


def _located(request: Request) -> Location:
    scope = request.scope()
    return locate(scope["path"], scope["raw_path"], scope["root_path"])


def _target(request: Request) -> ApiPath | None:
    try:
        return _located(request).target
    except MalformedTarget:
        return None


def _request_steps(request: Request) -> Iterator[Step]:
    try:
        located = _located(request)
    except MalformedTarget as error:
        yield Step("path", f"it has no canonical form: {error.detail}", good=False)
        return
    canonical, target = located.path, located.target
    if target is None:
        yield Step("path", f"{canonical.text} lies outside /x-nmos, so the app decides")
    elif target.is_root:
        yield Step("path", f"{canonical.text} is public", good=True)
    else:
        kind = "handshake" if request.is_handshake else request.method.upper()
        rest = "no version" if target.rest is None else repr(target.rest)
        yield Step("request", f"{kind} of {canonical.text}: API {target.api}, path {rest}")
