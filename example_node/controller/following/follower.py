"""The loop that follows what a Query API knows (IS-04 "Behaviour: Querying").

For each collection there is a WebSocket, which tells the state first and changes after that. When
it has been opened, the collection is read page by page as well: what is in neither is gone, which
no WebSocket tells of the time when nobody listened. A registry without subscriptions is read page
by page every few seconds. When a registry fails, the next one is used, and what is known stays
known, with its age.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from example_node.clock import TaiTime
from example_node.controller.following.query_api import TOO_LARGE, Change, Page, QueryApiError
from example_node.registration.failover import FailOver
from example_node.registration.registries import Registries

logger = logging.getLogger(__name__)

Phase = Literal["looking", "reading", "following", "stale"]

_POLLING = 5.0
_STEP = 200
_LARGEST_PAGE, _SMALLEST_PAGE = 200, 10
_MOST_PAGES = 5000
# Seconds after which a registry that has closed its WebSockets is asked again at once: some do so
# whenever a token ends.
_LONG_ENOUGH = 5.0
# What a registry answers that has no subscriptions, or none for this token.
_NO_SUBSCRIPTIONS = frozenset({400, 403, 404, 405, 501})


class Api(Protocol):
    """What is asked of a Query API; `QueryApi` is one."""

    async def subscribe(self, registry: str, collection: str) -> str:
        """Make a subscription, and return the URL of its WebSocket."""
        ...

    async def page(self, registry: str, collection: str, until: str | None, limit: int) -> Page:
        """Return a page of a collection."""
        ...

    def changes(
        self, registry: str, href: str
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Change]]]:
        """Connect to a subscription's WebSocket."""
        ...


CollectionT = TypeVar("CollectionT", bound=str)
CollectionT_contra = TypeVar("CollectionT_contra", bound=str, contravariant=True)


class Sink(Protocol[CollectionT_contra]):
    """Takes what is told."""

    def put(self, collection: CollectionT_contra, data: object) -> None:
        """Take a resource as it is now."""
        ...

    def drop(self, collection: CollectionT_contra, resource_id: str) -> None:
        """Take note that a resource is gone."""
        ...

    def ids(self, collection: CollectionT_contra) -> set[str]:
        """Return what is known of a collection."""
        ...

    def version(self, collection: CollectionT_contra, resource_id: str) -> str | None:
        """Return the version of what is known; None where it is not."""
        ...


@dataclass(frozen=True)
class State:
    """How following goes.

    Attributes:
        phase: what goes on.
        registry: the URL of the registry in use, or of the last one.
        why: what went wrong last, in words.
        since: seconds since the epoch: since when it is in this phase; for `stale`, since when
            nothing was heard.
        denied: whether a registry said that the token does not permit it.
    """

    phase: Phase = "looking"
    registry: str = ""
    why: str = ""
    since: float = 0.0
    denied: bool = False


class Follower(Generic[CollectionT]):
    """Follows the most preferred Query API that works.

    Args:
        registries: where Query APIs are.
        api: how they are asked.
        sink: takes what is told.
        collections: which to follow.
        on_state: called when `state` has changed.
    """

    def __init__(
        self,
        registries: Registries,
        api: Api,
        sink: Sink[CollectionT],
        collections: Sequence[CollectionT],
        *,
        on_state: Callable[[], None] = lambda: None,
    ) -> None:
        self._registries = registries
        self._api = api
        self._sink = sink
        self._collections = tuple(collections)
        self._on_state = on_state
        self._changed = asyncio.Event()
        self._fail_over = FailOver()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.state = State(since=time.time())

    def known(self) -> Sequence[str]:
        """Return the registries that are known, the most preferred one first."""
        return self._registries.known()

    def start(self) -> None:
        """Begin to follow, on the running event loop."""
        self._task = asyncio.create_task(self._run(), name="controller follower")

    async def stop(self) -> None:
        """Follow no more."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        self._registries.start(self._changed.set)
        try:
            while True:
                await self._turn()
        finally:
            await self._registries.stop()

    async def _turn(self) -> None:
        known, now = self._registries.known(), time.monotonic()
        registry = self._fail_over.choose(known, now)
        if registry is None:
            resumes = self._fail_over.resumes_at(known)
            await self._wait(None if resumes is None else max(0.05, resumes - now))
            return
        began, error = time.monotonic(), None
        try:
            await self._follow(registry)
        except* QueryApiError as group:
            error = _first(group)
        except* Exception:  # a follower that ends would leave pages that say they are live
            logger.exception("following %s failed", registry)
            error, began = (
                QueryApiError("the Controller failed; its log says more"),
                time.monotonic(),
            )
        if error is not None:
            self._failed(registry, error, time.monotonic() - began)

    def _failed(self, registry: str, error: QueryApiError, lasted: float) -> None:
        if self._stopping:
            # A connection that breaks while it is closed hides that this is the end; and a task
            # group of Python 3.11 leaves a task that goes on looking as if it were cancelled.
            raise asyncio.CancelledError
        followed = self.state.phase == "following"
        if followed and lasted >= _LONG_ENOUGH and error.status is None:
            self._fail_over.settled()
            self._say("reading", registry, str(error))
            return
        denied = error.status in {401, 403}
        known, now = self._registries.known(), time.monotonic()
        self._fail_over.failed(registry, known, now, denied=denied)
        self._registries.doubt(registry)
        self._say("stale", registry, str(error), denied=denied)

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _follow(self, registry: str) -> None:
        # What is stale stays so called until all of it has been read again.
        if self.state.phase != "stale":
            self._say("reading", registry, self.state.why)
        left = set(self._collections)

        def ready(collection: CollectionT) -> None:
            left.discard(collection)
            if not left and self.state.phase != "following":
                self._fail_over.settled()
                self._say("following", registry, "")

        async with asyncio.TaskGroup() as tasks:
            for each in self._collections:
                tasks.create_task(self._collection(registry, each, ready))

    async def _collection(
        self, registry: str, collection: CollectionT, ready: Callable[[CollectionT], None]
    ) -> None:
        try:
            href = await self._api.subscribe(registry, collection)
        except QueryApiError as error:
            if error.status not in _NO_SUBSCRIPTIONS:
                raise
            await self._poll(registry, collection, ready)
            return
        try:
            await self._listen(registry, href, _Reading(collection, self._sink), ready)
        except* QueryApiError as group:
            if _first(group).status != TOO_LARGE:
                raise
        await self._poll(registry, collection, ready)

    async def _listen(
        self,
        registry: str,
        href: str,
        reading: "_Reading[CollectionT]",
        ready: Callable[[CollectionT], None],
    ) -> None:
        """Take what a WebSocket tells, until it fails."""
        async with self._api.changes(registry, href) as grains, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._synchronise(registry, reading, ready))
            async for changes in grains:
                for start in range(0, len(changes), _STEP):
                    reading.take(changes[start : start + _STEP])
                    await asyncio.sleep(0)

    async def _synchronise(
        self, registry: str, reading: "_Reading[CollectionT]", ready: Callable[[CollectionT], None]
    ) -> None:
        async for page in self._pages(registry, reading.collection):
            reading.take_page(page)
        reading.end()
        ready(reading.collection)

    async def _poll(
        self, registry: str, collection: CollectionT, ready: Callable[[CollectionT], None]
    ) -> None:
        while True:
            await self._synchronise(registry, _Reading(collection, self._sink), ready)
            await asyncio.sleep(_POLLING)

    async def _pages(
        self, registry: str, collection: CollectionT
    ) -> AsyncIterator[Sequence[object]]:
        until, limit = None, _LARGEST_PAGE
        for _ in range(_MOST_PAGES):
            try:
                page = await self._api.page(registry, collection, until, limit)
            except QueryApiError as error:
                # A page that is larger than an answer may be comes in parts.
                if error.status != 200 or limit <= _SMALLEST_PAGE:
                    raise
                limit = max(_SMALLEST_PAGE, limit // 4)
                continue
            yield page.resources
            if page.before is None:
                return
            until = page.before
        raise QueryApiError(f"{collection} has more pages than are read")

    def _say(self, phase: Phase, registry: str, why: str, *, denied: bool = False) -> None:
        # What is stale is so from the first failure on.
        is_still = phase == self.state.phase == "stale"
        since = self.state.since if is_still else time.time()
        self.state = State(phase, registry, why, since, denied)
        self._on_state()


class _Reading(Generic[CollectionT]):
    """One collection while it is read: what has been seen of it, by WebSocket or page."""

    def __init__(self, collection: CollectionT, sink: Sink[CollectionT]) -> None:
        self.collection = collection
        self._sink = sink
        self._seen: set[str] | None = set()
        self._gone: set[str] = set()

    def take(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.now is not None:
                if self._seen is None or not self._is_older(change.id, change.now):
                    self._sink.put(self.collection, change.now)
                if self._seen is not None:
                    self._seen.add(change.id)
                    self._gone.discard(change.id)
            else:
                self._sink.drop(self.collection, change.id)
                if self._seen is not None:
                    self._seen.discard(change.id)
                    self._gone.add(change.id)

    def take_page(self, resources: Sequence[object]) -> None:
        for each in resources:
            resource_id = each.get("id") if isinstance(each, dict) else None
            if not isinstance(resource_id, str) or resource_id in self._gone:
                continue
            if self._seen is not None:
                self._seen.add(resource_id)
            if not self._is_older(resource_id, each):
                self._sink.put(self.collection, each)

    def end(self) -> None:
        """Drop what is in no page and came by no WebSocket."""
        for each in self._sink.ids(self.collection) - (self._seen or set()):
            self._sink.drop(self.collection, each)
        self._seen = None
        self._gone.clear()

    def _is_older(self, resource_id: str, data: object) -> bool:
        """Tell whether a page or a WebSocket that lags says what was so before."""
        known = self._sink.version(self.collection, resource_id)
        version = data.get("version") if isinstance(data, dict) else None
        if known is None or not isinstance(version, str):
            return False
        try:
            return TaiTime.parse(version) < TaiTime.parse(known)
        except ValueError:
            return False


def _first(group: BaseExceptionGroup[QueryApiError]) -> QueryApiError:
    error: QueryApiError | BaseExceptionGroup[QueryApiError] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
