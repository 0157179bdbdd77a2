"""What a token costs that was never seen before, over one bare RS512 verification."""

from __future__ import annotations

import base64
import gc
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import jwt as pyjwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc import jwt
from joserfc.jwk import RSAKey

from benchmarks.apps import (
    SENDERS,
    bare_app,
    make_scope,
    nothing_received,
    settings_for,
    status_of,
    unsent,
)
from benchmarks.effort import Effort
from benchmarks.keys import AUDIENCE, token_of
from benchmarks.report import BudgetCheck, Section, Table
from benchmarks.timing import Spread, in_turns, microseconds
from nmos_auth import NmosAuthMiddleware
from nmos_auth.request.resource_server import ResourceServer
from nmos_auth.rules.tokens import parse_token
from tests.support.lifespans import lifespan
from tests.support.tokens import signing_key

__all__ = ["BUDGET", "measure"]

BUDGET = 2.1
_BUDGET_OF_FORGED = 2.2
_BATCH = 50

_BARE = "bare verification"
_VERIFIER = "Verifier.verify"
_WHOLE = "whole request, audit log to a file"
_FORGED = "bad signature, whole request, audit log to a file"
_JOSERFC = "joserfc.jwt.decode"
_PYJWT = "PyJWT decode"
# What runs just before has its code in the processor's caches, so alternatives have own turns.
_GROUPS = ((_BARE, _VERIFIER, _WHOLE, _FORGED), (_BARE, _JOSERFC, _PYJWT))
_BUDGETS = {_VERIFIER: BUDGET, _WHOLE: BUDGET, _FORGED: _BUDGET_OF_FORGED}


def _forged(token: bytes) -> bytes:
    """Put another signature into a token, one that is refused only after all the arithmetic."""
    signature = b"\x01" + secrets.token_bytes(255)
    return token.rpartition(b".")[0] + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")


class _Contest:
    """The ways to verify a token, and the batch of tokens that all of them verify."""

    def __init__(self, directory: Path) -> None:
        self._key = signing_key(1)
        settings = settings_for(directory, "sights", [self._key.jwk()], audit=True)
        self.middleware = NmosAuthMiddleware(bare_app, settings)
        self._verifier = ResourceServer(settings, time.time).verifier
        self._joserfc_key = RSAKey.import_key(self._key.public)
        self._padding, self._hash = padding.PKCS1v15(), hashes.SHA512()
        self.ways: dict[str, Callable[[], Awaitable[None]]] = {
            _BARE: self._verify_bare,
            _VERIFIER: self._verify,
            _WHOLE: self._request,
            _FORGED: self._refuse,
            _JOSERFC: self._decode_with_joserfc,
            _PYJWT: self._decode_with_pyjwt,
        }

    def prepare(self) -> None:
        """Make the next batch."""
        self._tokens = [token_of(self._key) for _ in range(_BATCH)]
        self._parsed = [(parse_token(each), each.rpartition(b".")[0]) for each in self._tokens]
        self._scopes = [make_scope(SENDERS, token) for token in self._tokens]
        self._forged = [make_scope(SENDERS, _forged(token)) for token in self._tokens]

    async def check(self) -> None:
        """See to it that good tokens are good."""
        if await status_of(self.middleware, make_scope(SENDERS, token_of(self._key))) != 200:
            raise RuntimeError("a good request is refused")
        forged = make_scope(SENDERS, _forged(token_of(self._key)))
        if await status_of(self.middleware, forged) != 401:
            raise RuntimeError("a forged token is not refused")

    async def _verify_bare(self) -> None:
        verify = self._key.public.verify
        for signed, signing_input in self._parsed:
            verify(signed.signature, signing_input, self._padding, self._hash)

    async def _verify(self) -> None:
        for token in self._tokens:
            self._verifier.verify(token)

    async def _request(self) -> None:
        for scope in self._scopes:
            await self.middleware(scope, nothing_received, unsent)

    async def _refuse(self) -> None:
        for scope in self._forged:
            await self.middleware(scope, nothing_received, unsent)

    async def _decode_with_joserfc(self) -> None:
        for token in self._tokens:
            jwt.decode(token, self._joserfc_key, algorithms=["RS512"])

    async def _decode_with_pyjwt(self) -> None:
        for token in self._tokens:
            pyjwt.decode(token, self._key.public, ["RS512"], audience=f"https://{AUDIENCE}")


async def measure(directory: Path, effort: Effort) -> Section:
    """Let each way verify the same few new tokens, in turns."""
    contest = _Contest(directory)
    costs: dict[str, Spread] = {}
    ratios: dict[str, Spread] = {}
    async with lifespan(contest.middleware):
        await contest.check()
        for group in _GROUPS:
            taken: defaultdict[str, list[float]] = defaultdict(list)
            for number in range(effort.sight_rounds):
                contest.prepare()
                gc.collect()
                for name in in_turns(group, number):
                    # Of this thread: a batch is long enough for other processes to come between.
                    started = time.thread_time()
                    await contest.ways[name]()
                    taken[name].append(microseconds(time.thread_time() - started, _BATCH))
            for name in group:
                costs.setdefault(name, Spread.of(taken[name]))
                ratios.setdefault(name, Spread.of_ratios(taken[name], taken[_BARE]))
    return Section(
        "first-sight",
        [
            Table(
                "First sight of a token, RS512 with a key of 2048 bits",
                ("", "microseconds of CPU", "bare verifications"),
                [(name, costs[name], ratios[name]) for name in contest.ways],
                (
                    f"Budget: at most {BUDGET:g} bare verifications, {_BUDGET_OF_FORGED:g} for",
                    "a bad signature. A bare one is cryptography's",
                    f"`verify` with everything prepared. Batches of {_BATCH} tokens, in turns.",
                ),
            )
        ],
        [
            BudgetCheck(
                f"first sight, {name}: at most {budget:g} bare RS512 verifications",
                f"{ratios[name].median:.2f}",
                met=ratios[name].median <= budget,
            )
            for name, budget in _BUDGETS.items()
        ],
    )
