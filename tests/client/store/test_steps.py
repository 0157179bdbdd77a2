"""Steps: begun, they end, whoever is cancelled; not begun, they go with their caller."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine

import pytest

from nmos_auth.client import ClientClosed
from nmos_auth.client.store.steps import Steps
from nmos_auth.errors import NmosAuthError
from tests.support.virtual_time import VirtualTimeLoop, in_virtual_time


@contextlib.asynccontextmanager
async def at_once() -> AsyncIterator[None]:
    """Let the step in."""
    yield


@contextlib.asynccontextmanager
async def after(event: asyncio.Event) -> AsyncIterator[None]:
    """Let the step in when something has happened."""
    await event.wait()
    yield


class Exchange:
    """Takes a second, and then notes that it is done."""

    def __init__(self, seconds: float = 1) -> None:
        self.seconds = seconds
        self.done = False

    async def __call__(self) -> str:
        """Take the time."""
        await asyncio.sleep(self.seconds)
        self.done = True
        return "done"


@in_virtual_time
async def test_a_cancelled_caller() -> None:
    """The caller is gone at once, and the step goes on; `finish` waits for it."""
    steps, exchange = Steps(), Exchange()
    caller = asyncio.create_task(steps.run(at_once(), exchange))
    await asyncio.sleep(0.5)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not exchange.done
    await steps.finish()
    assert exchange.done


@in_virtual_time
async def test_what_has_not_begun_goes_with_its_caller() -> None:
    """Nothing is exchanged for somebody who left while it waited for its turn."""
    steps, exchange, turn = Steps(), Exchange(), asyncio.Event()
    caller = asyncio.create_task(steps.run(after(turn), exchange))
    await asyncio.sleep(0.5)
    caller.cancel()
    turn.set()
    await asyncio.sleep(5)
    await steps.finish()
    assert not exchange.done


@in_virtual_time
async def test_closing_while_it_waits_for_its_turn() -> None:
    """Its caller gets an error that can be caught, and nobody is cancelled."""
    steps, exchange = Steps(), Exchange()
    caller = asyncio.create_task(steps.run(after(asyncio.Event()), exchange))
    await asyncio.sleep(0.5)
    await steps.finish()
    with pytest.raises(ClientClosed):
        await caller
    with pytest.raises(ClientClosed):
        await steps.run(at_once(), exchange)
    steps.start(at_once(), nothing)
    assert not exchange.done


async def nothing() -> None:
    """Do nothing."""


@in_virtual_time
async def test_a_step_that_never_ends() -> None:
    """Closing takes twelve seconds then, and no more."""
    steps, exchange = Steps(), Exchange(1e9)
    caller = asyncio.create_task(steps.run(at_once(), exchange))
    await asyncio.sleep(0.1)
    before = asyncio.get_running_loop().time()
    await steps.finish()
    assert asyncio.get_running_loop().time() - before == pytest.approx(12, abs=0.1)
    with pytest.raises(ClientClosed):
        await caller


@in_virtual_time
async def test_a_step_that_fails() -> None:
    """Its caller gets the error; without a caller nobody does."""

    async def fail() -> None:
        await asyncio.sleep(1)
        raise NmosAuthError("no")

    steps = Steps()
    with pytest.raises(NmosAuthError):
        await steps.run(at_once(), fail)
    caller = asyncio.create_task(steps.run(at_once(), fail))
    await asyncio.sleep(0.5)
    caller.cancel()
    await steps.finish()


def run(main: Coroutine[object, object, None]) -> None:
    """Run a program as `asyncio.run` does, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main)


def test_the_end_of_the_event_loop() -> None:
    """A program that closes nothing keeps what it was given: its loop waits for the step."""
    exchange = Exchange()

    async def program() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(Steps().run(at_once(), exchange), 0.2)

    run(program())
    assert exchange.done


def test_the_end_of_the_event_loop_is_near() -> None:
    """It waits twelve seconds and no more, and for what has not begun not at all."""
    endless, waiting = Exchange(1e9), Exchange()
    began = ended = 0.0

    async def program() -> None:
        nonlocal began
        began = asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(Steps().run(at_once(), endless), 0.2)
        asyncio.create_task(Steps().run(after(asyncio.Event()), waiting))  # noqa: RUF006
        await asyncio.sleep(0.1)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(program())
        loop = runner.get_loop()
    ended = loop.time()
    assert ended - began <= 12.5
    assert not waiting.done
