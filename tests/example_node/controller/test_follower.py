"""What a Query API knows is followed, whatever is lost, late, refused or too large on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import given

from example_node.controller.following.follower import Follower, _Reading
from example_node.controller.following.query_api import TOO_LARGE, Change, Page, QueryApiError
from example_node.registration.registries import ConfiguredRegistries


def resource(resource_id: str, version: int = 1) -> dict[str, str]:
    """Return as much of a resource as a follower looks at."""
    return {"id": resource_id, "version": f"{version}:0"}


@dataclass
class Kept:
    """Keeps what is told."""

    there: dict[str, str] = field(default_factory=dict)

    def put(self, collection: str, data: object) -> None:
        """Keep a resource."""
        assert collection == "receivers"
        assert isinstance(data, dict)
        self.there[data["id"]] = data["version"]

    def drop(self, collection: str, resource_id: str) -> None:
        """Drop one."""
        assert collection == "receivers"
        self.there.pop(resource_id, None)

    def ids(self, collection: str) -> set[str]:
        """Return all ids."""
        assert collection == "receivers"
        return set(self.there)

    def version(self, collection: str, resource_id: str) -> str | None:
        """Return a version."""
        assert collection == "receivers"
        return self.there.get(resource_id)


@dataclass
class FakeApi:
    """Query APIs as a test has them: each failure is what that registry answers.

    Attributes:
        state: what is there.
        down: registries that do not answer.
        refused: the status of subscriptions, where there are none.
        denied: the status of everything.
        largest: how many resources a page may have.
        sockets: the open WebSockets.
    """

    state: dict[str, int] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    refused: int | None = None
    denied: int | None = None
    largest: int = 1000
    socket_error: QueryApiError | None = None
    sockets: list[asyncio.Queue[Sequence[Change] | QueryApiError]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def subscribe(self, registry: str, collection: str) -> str:
        """Make a subscription."""
        self._check(registry)
        if self.refused is not None:
            raise QueryApiError("no subscriptions", self.refused)
        return f"wss://{registry}/{collection}"

    async def page(self, registry: str, collection: str, until: str | None, limit: int) -> Page:
        """Return a page."""
        self._check(registry)
        self.asked.append(f"{registry} {collection} {until} {limit}")
        if limit > self.largest:
            raise QueryApiError("too large", 200)
        found = sorted(self.state.items())
        start = int(until or 0)
        page = [resource(*each) for each in found[start : start + limit]]
        return Page(page, str(start + limit) if start + limit < len(found) else None)

    @asynccontextmanager
    async def changes(
        self, registry: str, href: str
    ) -> AsyncIterator[AsyncIterator[Sequence[Change]]]:
        """Connect to a WebSocket."""
        assert href == f"wss://{registry}/receivers"
        queue: asyncio.Queue[Sequence[Change] | QueryApiError] = asyncio.Queue()
        self.sockets.append(queue)
        queue.put_nowait([Change(each, resource(each, v)) for each, v in self.state.items()])
        yield self._told(queue)

    async def _told(
        self, queue: asyncio.Queue[Sequence[Change] | QueryApiError]
    ) -> AsyncIterator[Sequence[Change]]:
        if self.socket_error is not None:
            raise self.socket_error
        try:
            while True:
                told = await queue.get()
                if isinstance(told, QueryApiError):
                    raise told
                yield told
        except asyncio.CancelledError:
            # So it is where a connection breaks while it is closed.
            raise QueryApiError("broken while it was closed") from None

    def _check(self, registry: str) -> None:
        if registry in self.down:
            raise QueryApiError("no answer")
        if self.denied is not None:
            raise QueryApiError("not permitted", self.denied)


@asynccontextmanager
async def following(api: FakeApi, kept: Kept, *registries: str) -> AsyncIterator[Follower[str]]:
    """Follow registries until the block ends."""
    known = ConfiguredRegistries(registries or ("one",))
    follower = Follower(known, api, kept, ["receivers"])
    follower.start()
    try:
        yield follower
    finally:
        # It ends though its WebSockets break while they are closed.
        async with asyncio.timeout(5):
            await follower.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until something holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0)


async def test_the_state_comes_first_and_changes_after_it() -> None:
    """All that is there is known, what comes comes, what goes goes."""
    api, kept = FakeApi({"a": 1, "b": 1}), Kept()
    async with following(api, kept) as follower:
        await until(lambda: follower.state.phase == "following")
        assert kept.there == {"a": "1:0", "b": "1:0"}
        api.sockets[0].put_nowait([Change("c", resource("c", 2)), Change("a", None)])
        await until(lambda: kept.there == {"b": "1:0", "c": "2:0"})


async def test_what_went_while_nobody_listened_is_gone() -> None:
    """A WebSocket that is opened again does not tell of it; the pages do."""
    api, kept = FakeApi({"b": 1}), Kept({"a": "1:0", "b": "1:0"})
    async with following(api, kept) as follower:
        await until(lambda: follower.state.phase == "following")
        assert kept.there == {"b": "1:0"}


async def test_the_next_registry_is_used_and_what_is_known_stays() -> None:
    """One that fails is left for the next; meanwhile the data is stale, with the reason."""
    api, kept = FakeApi({"a": 1}), Kept()
    async with following(api, kept, "one", "two") as follower:
        await until(lambda: follower.state.phase == "following")
        api.down.add("one")
        api.sockets[0].put_nowait(QueryApiError("gone", 500))
        await until(lambda: follower.state.phase == "stale")
        assert follower.state.why == "gone"
        assert kept.there == {"a": "1:0"}
        await until(lambda: follower.state.phase == "following")
        assert follower.state.registry == "two"


async def test_without_subscriptions_it_is_read_page_by_page() -> None:
    """403 and 501 for subscriptions leave reading, and messages that are too large do too."""
    for api in (
        FakeApi({"a": 1}, refused=403),
        FakeApi({"a": 1}, refused=501),
        FakeApi({"a": 1}, socket_error=QueryApiError("too large", TOO_LARGE)),
    ):
        kept = Kept({"z": "1:0"})
        async with following(api, kept) as follower:
            await until(lambda: follower.state.phase == "following")
            assert kept.there == {"a": "1:0"}


async def test_pages_that_are_too_large_come_in_parts() -> None:
    """An answer that is larger than may be read is asked for in smaller ones."""
    api, kept = FakeApi({f"{number:03}": 1 for number in range(60)}, largest=20), Kept()
    async with following(api, kept) as follower:
        await until(lambda: follower.state.phase == "following")
    assert len(kept.there) == 60
    assert api.asked[:3] == [f"one receivers None {limit}" for limit in (200, 50, 12)]


async def test_a_token_that_does_not_permit_it_is_told() -> None:
    """The state says that the token is the reason."""
    api, kept = FakeApi(denied=403), Kept()
    async with following(api, kept) as follower:
        await until(lambda: follower.state.phase == "stale")
        assert follower.state.denied


async def test_a_fault_of_the_controller_is_told_and_survived(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A follower that had ended would leave pages that say they are live."""
    api, kept = FakeApi({"a": 1}), Kept()
    async with following(api, kept, "one", "two") as follower:
        await until(lambda: follower.state.phase == "following")
        api.sockets[0].put_nowait([Change("b", resource("b")), Change("c", {"id": "no version"})])
        await until(lambda: follower.state.phase == "stale")
        assert follower.state.why == "the Controller failed; its log says more"
        assert "following one failed" in caplog.text
        await until(lambda: follower.state.phase == "following")
        assert follower.state.registry == "two"


IDS = "abcd"
OPERATIONS = st.lists(st.tuples(st.sampled_from(IDS), st.booleans()), max_size=12)


@dataclass
class History:
    """A registry's collection as it changes, and what it tells of that."""

    state: dict[str, int] = field(default_factory=dict)
    clock: int = 0

    def apply(self, operation: tuple[str, bool]) -> Change:
        """Put a resource in a new version, or remove it."""
        resource_id, is_there = operation
        self.clock += 1
        if is_there:
            self.state[resource_id] = self.clock
            return Change(resource_id, resource(resource_id, self.clock))
        self.state.pop(resource_id, None)
        return Change(resource_id, None)

    def page(self, ids: str) -> list[object]:
        """Return those of the resources that have these ids."""
        return [resource(name, version) for name, version in self.state.items() if name in ids]


@given(
    before=OPERATIONS,
    after=OPERATIONS,
    known=st.sets(st.sampled_from(IDS)),
    taken=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    order=st.lists(st.booleans(), max_size=30),
)
def test_pages_and_changes_in_any_order_lead_to_what_is_there(
    before: list[tuple[str, bool]],
    after: list[tuple[str, bool]],
    known: set[str],
    taken: tuple[int, int],
    order: list[bool],
) -> None:
    """Two pages taken at any time, changes that lag: the end is the registry's own state."""
    history = History()
    for each in before:
        history.apply(each)
    told = [[Change(name, resource(name, version)) for name, version in history.state.items()]]
    pages: dict[str, list[object]] = {}
    for moment in range(len(after) + 1):
        for half, at in zip((IDS[:2], IDS[2:]), taken, strict=True):
            if moment == min(at, len(after)):
                pages[half] = history.page(half)
        told += [[history.apply(each)] for each in after[moment : moment + 1]]
    kept = Kept(dict.fromkeys(known, "0:0"))
    deliver(_Reading("receivers", kept), told, [pages[IDS[:2]], pages[IDS[2:]]], order)
    assert kept.there == {name: f"{version}:0" for name, version in history.state.items()}


def deliver(
    reading: _Reading[str],
    told: list[list[Change]],
    pages: list[list[object]],
    order: list[bool],
) -> None:
    """Deliver pages and changes, each in their own order, by turns as `order` has it."""
    for is_page in [*order, True, True]:
        if is_page and pages:
            reading.take_page(pages.pop(0))
            if not pages:
                reading.end()
        elif told:
            reading.take(told.pop(0))
    for changes in told:
        reading.take(changes)
