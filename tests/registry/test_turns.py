"""Turns at a server that has only so many connections."""

from __future__ import annotations

import asyncio
import time

import pytest

from nmos_auth.registry.turns import Turns

NEVER = 60.0


async def settle() -> None:
    """Let all tasks go on until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_so_many_at_once_and_the_others_in_their_order() -> None:
    """Each that ends lets in the one that has waited longest."""
    turns = Turns(2, NEVER)
    begun: list[int] = []
    answers = [asyncio.Event() for _ in range(6)]

    async def ask(number: int) -> None:
        async with turns.turn():
            begun.append(number)
            await answers[number].wait()

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(ask(number))
        await settle()
        assert begun == [0, 1]
        answers[1].set()
        await settle()
        assert begun == [0, 1, 2]
        for answer in answers:
            answer.set()
    assert begun == [0, 1, 2, 3, 4, 5]


async def test_a_server_that_says_nothing_is_waited_for_once() -> None:
    """Those who wait behind the first are told with it, and not each after its own time."""
    turns = Turns(1, 0.05)
    begun: list[int] = []

    async def ask(number: int) -> None:
        async with turns.turn():
            begun.append(number)
            await asyncio.Event().wait()

    outcomes = await asyncio.gather(*(ask(each) for each in range(50)), return_exceptions=True)
    assert begun == [0]
    assert [type(each) for each in outcomes] == [TimeoutError] * 50


async def test_one_answer_that_does_not_come_ends_nobody_elses_wait() -> None:
    """While the server answers others, those who wait go on waiting."""
    turns = Turns(2, 0.05)
    never = asyncio.Event()
    given_up = asyncio.Event()
    done: list[int] = []

    async def ask(number: int) -> None:
        try:
            async with turns.turn():
                if number == 0:
                    await never.wait()
                await asyncio.sleep(0.01)
                done.append(number)
        except TimeoutError:
            given_up.set()
            raise

    async with asyncio.TaskGroup() as group:
        first = asyncio.ensure_future(ask(0))
        await settle()
        others = [group.create_task(ask(each)) for each in range(1, 30)]
        await given_up.wait()
        assert 0 < len(done) < len(others) - 1
    assert isinstance(first.exception(), TimeoutError)
    assert done == list(range(1, 30))


async def test_a_loop_that_is_held_is_no_reason_to_give_up() -> None:
    """An answer that needs some turns of a slow event loop is awaited, however long they are."""
    turns = Turns(1, 0.1)
    async with turns.turn():
        for _ in range(10):
            time.sleep(0.05)  # noqa: ASYNC251 - others hold the loop
            await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with turns.turn():
            await asyncio.Event().wait()


async def test_whoever_leaves_takes_no_turn_along() -> None:
    """Cancelled while waiting, just when the turn has come, or within it."""
    turns = Turns(1, NEVER)
    within = asyncio.Event()

    async def ask() -> None:
        async with turns.turn():
            within.set()
            await asyncio.Event().wait()

    first, second, third = (asyncio.create_task(ask()) for _ in range(3))
    await settle()
    second.cancel()  # while it waits
    first.cancel()  # within its turn; so it is the third's
    await asyncio.gather(first, second, return_exceptions=True)
    fourth = asyncio.create_task(ask())
    await settle()
    third.cancel()
    await asyncio.sleep(0)  # the third's turn ends, and is now the fourth's, which has not gone on
    fourth.cancel()
    await asyncio.gather(third, fourth, return_exceptions=True)
    within.clear()
    async with asyncio.timeout(10):
        async with turns.turn():
            within.set()
    assert within.is_set()


async def test_a_failure_of_another_kind_is_only_ones_own() -> None:
    """A refused connection says nothing of what the next question meets."""
    turns = Turns(1, NEVER)

    async def ask(*, fails: bool) -> None:
        async with turns.turn():
            await settle()
            if fails:
                raise ConnectionError

    outcomes = await asyncio.gather(
        *(ask(fails=each) for each in (True, False, False)), return_exceptions=True
    )
    assert isinstance(outcomes[0], ConnectionError)
    assert outcomes[1:] == [None, None]


@pytest.mark.parametrize("count", [1, 3])
async def test_turns_come_back(count: int) -> None:
    """After any number of questions, as many are let in at once as before."""
    turns = Turns(count, NEVER)
    inside = most = 0

    async def ask() -> None:
        nonlocal inside, most
        async with turns.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    for _ in range(3):
        most = 0
        await asyncio.gather(*(ask() for _ in range(10)))
        assert most == count
