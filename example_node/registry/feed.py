"""What one WebSocket of a subscription is told: data Grains (IS-04 "Behaviour: Querying")."""

import asyncio
import json
from collections.abc import Mapping

from starlette.websockets import WebSocket

from example_node.registry.models import Subscription
from example_node.registry.paths import Data
from example_node.registry.queries import Query
from example_node.registry.registry import Change, Registry

Pair = tuple[Data | None, Data | None]
"""A resource before and after; None where it was not there, or did not match the query."""

MOST_IN_A_GRAIN = 100


class Feed:
    """What one WebSocket has still to be told.

    Changes of one resource that come while another message is being sent, or too soon after it,
    become one; so what waits is never more than there are resources, however slow the client.

    Args:
        registry: What is followed, from its present state on; `take` has to be told of changes.
        subscription: What of it, and how often.
        source_id: The Query API's own id.
    """

    def __init__(self, registry: Registry, subscription: Subscription, source_id: str) -> None:
        self._registry = registry
        self._subscription = subscription
        self._source_id = source_id
        self._collection = subscription.resource_path.removeprefix("/")
        self._query = Query.parse(subscription.params.items())
        self._changed = asyncio.Event()
        # "The server provides a client with the current state of the contents of the registry"
        self._state = self._seen(
            {key: (each.data, each.data) for key, each in registry[self._collection].items()}
        )
        self._waiting: dict[str, Pair] = {}

    def take(self, change: Change) -> None:
        """Take note of a change."""
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

    def news(self) -> Mapping[str, Pair]:
        """Give the state at first, and after that what has changed since this was asked last."""
        if self._state:
            state, self._state = self._state, {}
            return state
        changes, self._waiting = self._waiting, {}
        return changes

    async def send_to(self, socket: WebSocket) -> None:
        """Send Grains for ever."""
        while True:
            while items := list(self.news().items()):
                for start in range(0, len(items), MOST_IN_A_GRAIN):
                    await socket.send_text(self._grain(items[start : start + MOST_IN_A_GRAIN]))
                    await asyncio.sleep(self._subscription.max_update_rate_ms / 1000)
            await self._changed.wait()
            self._changed.clear()

    def _seen(self, changes: Mapping[str, Pair]) -> dict[str, Pair]:
        """See changes as one who sees only what passes the query's filters."""
        seen = {
            key: (self._if_it_matches(before), self._if_it_matches(after))
            for key, (before, after) in changes.items()
        }
        return {key: pair for key, pair in seen.items() if pair != (None, None)}

    def _if_it_matches(self, data: Data | None) -> Data | None:
        return data if data is not None and self._query.matches(data) else None

    def _grain(self, changes: list[tuple[str, Pair]]) -> str:
        now = str(self._registry.tick())
        data = []
        for key, (before, after) in changes:
            entry: dict[str, object] = {"path": key}
            if before is not None:
                entry["pre"] = before
            if after is not None:
                entry["post"] = after
            data.append(entry)
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
                "data": data,
            },
        }
        return json.dumps(grain)
