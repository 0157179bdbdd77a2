"""The simulation of Clients finds each loss again when what prevents it is taken out."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from nmos_auth.client.errors import LoginRequired, StoreError, TokenRefused, UnusableAnswer
from nmos_auth.client.grants import grants
from nmos_auth.client.registration import (
    dynamic_registration,
    inquiry,
    kept_registrations,
    making,
)
from nmos_auth.client.registration.registrations import Registration
from nmos_auth.client.servers.polite import PoliteTransport
from nmos_auth.client.servers.server import AuthorizationServer
from nmos_auth.client.store.steps import Steps
from nmos_auth.client.tokens import source, vaults
from nmos_auth.client.tokens.authorizations import UserAuthorization
from nmos_auth.client.tokens.vaults import KeptGrant
from nmos_auth.servers.single_flight import SingleFlight
from tests.simulation.client_history import play
from tests.simulation.client_world import DiskStore

Take = Callable[[pytest.MonkeyPatch], None]

# Most of them are found within a few histories.
_SEEDS = 150


def _invalid_client_ends_a_grant(patch: pytest.MonkeyPatch) -> None:
    sent = UserAuthorization._sent

    async def forgetful(
        self: UserAuthorization, kept: KeptGrant, scope: frozenset[str], used: Registration
    ) -> grants.GrantedTokens:
        try:
            return await sent(self, kept, scope, used)
        except TokenRefused as refusal:
            if refusal.code == "invalid_client":
                await self._vault.drop(kept)
                raise LoginRequired("log in again", code="invalid_grant") from None
            raise

    patch.setattr(UserAuthorization, "_sent", forgetful)


def _steps_can_be_cut(patch: pytest.MonkeyPatch) -> None:
    async def run(_: Steps, alone: Any, work: Callable[[], Awaitable[object]]) -> object:  # noqa: ANN401
        async with alone:
            return await work()

    patch.setattr(Steps, "run", run)


def _nothing_is_rehearsed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(DiskStore, "rehearse", lambda _: None)


def _whatever_is_kept_is_removed(patch: pytest.MonkeyPatch) -> None:
    """A login takes no lock, and a late refusal removes what it finds."""

    class Open:
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None: ...

    complete = UserAuthorization.complete

    async def unlocked(
        self: UserAuthorization, pending: grants.PendingAuthorization, code: SecretStr
    ) -> grants.GrantedTokens:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._vault, "alone", Open)
            return await complete(self, pending, code)

    async def drop(self: vaults.StoreVault, _: KeptGrant) -> None:
        await self.write(None)

    patch.setattr(UserAuthorization, "complete", unlocked)
    patch.setattr(vaults.StoreVault, "drop", drop)


def _numbers_have_an_end(patch: pytest.MonkeyPatch) -> None:
    def moment(value: object) -> float:
        return float(str(value)) if isinstance(value, str) else float(value)  # type: ignore[arg-type]

    patch.setattr(grants, "quoted_moment", moment)
    patch.setattr(source, "unexpected", lambda error: error)
    patch.setattr("nmos_auth.client.client.unexpected", lambda error: error)


def _waiting_callers_are_cancelled(patch: pytest.MonkeyPatch) -> None:
    async def call(self: SingleFlight[object]) -> object:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await asyncio.shield(self._task)

    patch.setattr(SingleFlight, "__call__", call)


def _the_first_401_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inquiry.Inquiry, "_waited", lambda _self, _registration: 1e9)
    patch.setattr(Registration, "just_made", lambda _self, _now: False)


def _refreshed_by_the_current_registration(patch: pytest.MonkeyPatch) -> None:
    async def belonging(self: AuthorizationServer, _: str) -> Registration:
        return await self.registration()

    patch.setattr(AuthorizationServer, "belonging", belonging)


def _an_update_has_to_be_answered_as_it_should(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(making, "PASSING", {None, 429, 500, 501, 502, 503, 504})


def _management_has_to_be_usable(patch: pytest.MonkeyPatch) -> None:
    register = dynamic_registration.register

    async def strict(*args: Any, **options: Any) -> Registration:  # noqa: ANN401
        made = await register(*args, **options)
        if not made.managed:
            raise UnusableAnswer("no usable registration_client_uri")
        return made

    patch.setattr(making, "register", strict)


def _servers_are_not_left_alone(patch: pytest.MonkeyPatch) -> None:
    async def send(self: PoliteTransport, request: Any) -> object:  # noqa: ANN401
        answer = await self._transport.send(request)
        return dataclasses.replace(answer, retry_after=None)

    patch.setattr(PoliteTransport, "send", send)


def _former_registrations_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object) -> bool:
        return False

    patch.setattr(kept_registrations.KeptRegistrations, "is_wanted", nobody)


def _a_full_disk_withholds_the_token(patch: pytest.MonkeyPatch) -> None:
    """The write fails, and what was issued is thrown away with the error."""

    async def rotate(self: UserAuthorization, kept: KeptGrant) -> None:
        try:
            await self._vault.write(kept)
        except StoreError:
            vault = self._vault
            assert isinstance(vault, vaults.StoreVault)
            vault._unwritten = None
            raise

    patch.setattr(UserAuthorization, "_rotate", rotate)


_GIVEN_UP = "a live authorization was given up"
_SPENT = "a spent token was presented"

# What goes wrong without it, in the words of the history: a patch that does not fit the code any
# more does something else, or nothing.
WITHOUT: dict[Take, str] = {
    _invalid_client_ends_a_grant: _GIVEN_UP,
    _steps_can_be_cut: _SPENT,
    _nothing_is_rehearsed: "a refresh token was spent though its successor could not be kept",
    _a_full_disk_withholds_the_token: _SPENT,
    _whatever_is_kept_is_removed: _GIVEN_UP,
    _numbers_have_an_end: "OverflowError came out",
    _waiting_callers_are_cancelled: "somebody was cancelled whom nobody cancelled",
    _the_first_401_is_believed: "registrations, for",
    _refreshed_by_the_current_registration: _GIVEN_UP,
    _former_registrations_are_forgotten: _GIVEN_UP,
    _an_update_has_to_be_answered_as_it_should: "no token for a Node",
    _management_has_to_be_usable: "nobody can log in",
    _servers_are_not_left_alone: "a server that asked to be left alone was asked",
}


@pytest.mark.parametrize("take_out", WITHOUT, ids=lambda each: each.__name__.strip("_"))
@pytest.mark.filterwarnings("ignore")
def test_it_is_found(take_out: Take) -> None:
    """Some history of the first hundred and fifty goes wrong without it."""
    with pytest.MonkeyPatch.context() as patch:
        take_out(patch)
        violations = (each for seed in range(_SEEDS) for each in play(seed).violations)
        assert any(WITHOUT[take_out] in each for each in violations)
