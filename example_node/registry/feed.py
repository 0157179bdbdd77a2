"""The data Grains for one WebSocket of a subscription (IS-04 "Behaviour: Querying")."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from itertools import islice

from pydantic_core import to_json
from starlette.websockets import WebSocket

from example_node.registry.models import Subscription
from example_node.registry.paths import Data
from example_node.registry.queries import Query
from example_node.registry.registry import Change, Registry

Pair = tuple[Data | None, Data | None]
"""A resource before and after; None if it was not there, or did not match the query."""

Entry = dict[str, object]

LARGEST_GRAIN = 512 * 1024
"""The most bytes of a message; a larger Registry is sent in several messages."""

LARGEST_RESOURCE = 250 * 1024
"""The most bytes of JSON of a resource: a Grain has it twice, before and after a change."""

_ENVELOPE = 1024
_STEP = 256


class Feed:
    """The changes that one WebSocket has not received yet.

    Changes of one resource that come while another message is being sent, or too soon after it,
    become one; so what waits is never more than there are resources, however slow the client.

    Args:
        registry: the Registry, from its present state; pass later changes to `take`.
        subscription: the subscription.
        source_id: the Query API's own id.
    """

    def __init__(self, registry: Registry, subscription: Subscription, source_id: str) -> None:
        self._registry = registry
        self._subscription = subscription
        self._source_id = source_id
        self._collection = subscription.resource_path.removeprefix("/")
        self._query = Query.parse(subscription.params.items())
        self._changed = asyncio.Event()
        # "The server provides a client with the current state of the contents of the registry"
        self._state = deque((key, each.data) for key, each in registry[self._collection].items())
        self._waiting: dict[str, Pair] = {}

    def take(self, change: Change) -> None:
        """Remember a change."""
        if change.collection != self._collection:
            return
        key = change.resource_id
        for before, after in self._seen({key: (change.before, change.after)}).values():
            first = self._waiting[key][0] if key in self._waiting else before
            if first is None and after is None:
                del self._waiting[key]  # it came and went
            else:
                self._waiting[key] = (first, after)
            self._changed.set()

    @property
    def has_news(self) -> bool:
        """Whether there is something to send, which may not pass the filters."""
        return bool(self._state or self._waiting)

    def news(self) -> Mapping[str, Pair]:
        """Return the next few changes to send: first the present state, then changes."""
        if self._state:
            state = [self._state.popleft() for _ in range(min(_STEP, len(self._state)))]
            return self._seen({key: (data, data) for key, data in state})
        keys = list(islice(self._waiting, _STEP))
        return {key: self._waiting.pop(key) for key in keys}

    async def send_to(self, socket: WebSocket) -> None:
        """Send Grains for ever."""
        while True:
            async for grain in self._grains():
                await socket.send_text(grain)
                await asyncio.sleep(self._subscription.max_update_rate_ms / 1000)
            await self._changed.wait()
            self._changed.clear()

    async def _grains(self) -> AsyncIterator[str]:
        """Return the changes in as few Grains as possible."""
        entries: list[Entry] = []
        size = _ENVELOPE
        while self.has_news:
            for key, pair in self.news().items():
                entry = _entry(key, pair)
                length = len(to_json(entry)) + 1
                if size + length > LARGEST_GRAIN and entries:
                    yield self._grain(entries)
                    entries, size = [], _ENVELOPE
                entries.append(entry)
                size += length
            await asyncio.sleep(0)  # other tasks have their turn, even if there is much to send
        if entries:
            yield self._grain(entries)

    def _seen(self, changes: Mapping[str, Pair]) -> dict[str, Pair]:
        """Return changes as they are for a client that only sees what passes the filters."""
        seen = {
            key: (self._if_it_matches(before), self._if_it_matches(after))
            for key, (before, after) in changes.items()
        }
        return {key: pair for key, pair in seen.items() if pair != (None, None)}

    def _if_it_matches(self, data: Data | None) -> Data | None:
        return data if data is not None and self._query.matches(data) else None

    def _grain(self, entries: list[Entry]) -> str:
        now = str(self._registry.tick())
        grain = {
            "grain_type": "event",
            "source_id": self._source_id,
            "flow_id": self._subscription.id,
            "origin_timestamp": now,
            "sync_timestamp": now,
            "creation_timestamp": now,
            "rate": {"numerator": 0, "denominator": 1},
            "duration": {"numerator": 0, "denominator": 1},
            "grain": {
                "type": "urn:x-nmos:format:data.event",
                "topic": f"{self._subscription.resource_path}/",
                "data": entries,
            },
        }
        return to_json(grain).decode()


def _entry(key: str, pair: Pair) -> Entry:
    """Return a change for a Grain: without `pre` it is an addition, without `post` a removal."""
    before, after = pair
    entry: Entry = {"path": key}
    if before is not None:
        entry["pre"] = before
    if after is not None:
        entry["post"] = after
    return entry
