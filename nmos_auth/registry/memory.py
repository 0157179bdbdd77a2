"""The owners of Nodes in a Registry of one process."""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from nmos_auth.registry.owners import STEP, Verdict
from nmos_auth.rules.resources import NODE, Placement

__all__ = ["MemoryOwners"]

# How many Nodes whose time is over one call removes, in addition to those that it asks about.
_MOST_ENDED = 8


@dataclass(slots=True, eq=False)
class _Entry:
    """A resource, from its registration to its removal.

    It is gone if it or a resource above it was removed, or if its Node has ended.
    """

    id: str
    type: str
    parent: _Entry | None
    children: dict[str, _Entry] = field(default_factory=dict)
    removed: bool = False


@dataclass(slots=True)
class _Tenure:
    owner: str
    ends: float


class MemoryOwners:
    """Keeps the owners of Nodes in this process; see `Owners`.

    Nothing here waits, so no other task of the event loop comes between. A resource and everything
    below it are gone as soon as it is removed; what is below it is cleared away later, a few
    resources with each call.

    Args:
        lifetime: seconds for which a Node is kept without a heartbeat; IS-04 "Behaviour:
            Registration", Heartbeating, has 12.
        clock: seconds of a clock that never goes back.
        step: the most resources that one call clears away.
        most_per_client: the most resources that a client may have, including those that are still
            to be cleared away; None for any number.
    """

    def __init__(
        self,
        lifetime: float = 12,
        *,
        clock: Callable[[], float] = time.monotonic,
        step: int = STEP,
        most_per_client: int | None = None,
    ) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._step = step
        self._most = math.inf if most_per_client is None else most_per_client
        self._entries: dict[str, _Entry] = {}
        # The tenure that ends first comes first: each heartbeat puts its Node last.
        self._tenures: OrderedDict[str, _Tenure] = OrderedDict()
        # Removed resources and their owners; what was below them has yet to be cleared away.
        self._graves: deque[tuple[_Entry, str]] = deque()
        self._counts: Counter[str] = Counter()

    async def register(self, client_id: str, placement: Placement) -> Verdict:
        """Record a resource that a client registers."""
        self._tidy_up()
        known, owner = self._look_up(placement.id)
        if owner is not None and owner != client_id:
            return Verdict.REFUSED
        parent: _Entry | None = None
        if placement.parent is not None:
            parent, parent_owner = self._look_up(placement.parent)
            if parent_owner is not None and parent_owner != client_id:
                return Verdict.REFUSED
            if parent_owner is None or parent is None or parent.type != placement.parent_type:
                return Verdict.ABSENT
        if known is not None and owner is not None:
            if known.type != placement.type:
                return Verdict.ABSENT
            self._leave_parent(known)
            entry = known
            entry.parent = parent
        else:
            if self._counts[client_id] >= self._most:
                return Verdict.FULL
            if known is not None and known.parent is None:
                self._remove(known, self._tenures[known.id].owner)
            entry = _Entry(placement.id, placement.type, parent)
            self._entries[placement.id] = entry
            self._counts[client_id] += 1
        if parent is not None:
            parent.children[entry.id] = entry
        else:
            self._keep(entry.id, client_id)
        return Verdict.CREATED if owner is None else Verdict.DONE

    async def delete(self, client_id: str, resource_type: str, resource_id: str) -> Verdict:
        """Forget a resource and everything below it."""
        self._tidy_up()
        verdict = self._verdict(client_id, resource_type, resource_id)
        if verdict is Verdict.DONE:
            self._remove(self._entries[resource_id], client_id)
        return verdict

    async def heartbeat(self, client_id: str, node_id: str) -> Verdict:
        """Keep a Node for another lifetime."""
        self._tidy_up()
        verdict = self._verdict(client_id, NODE, node_id)
        if verdict is Verdict.DONE:
            self._keep(node_id, client_id)
        return verdict

    def _verdict(self, client_id: str, resource_type: str, resource_id: str) -> Verdict:
        known, owner = self._look_up(resource_id)
        if known is None or owner is None:
            return Verdict.ABSENT
        if owner != client_id:
            return Verdict.REFUSED
        return Verdict.DONE if known.type == resource_type else Verdict.ABSENT

    def _look_up(self, resource_id: str) -> tuple[_Entry | None, str | None]:
        """Return the entry of a resource, and its owner unless it is gone."""
        entry = node = self._entries.get(resource_id)
        while node is not None and not node.removed:
            if node.parent is None:
                tenure = self._tenures[node.id]
                return entry, tenure.owner if tenure.ends > self._clock() else None
            node = node.parent
        return entry, None

    def _keep(self, node_id: str, client_id: str) -> None:
        self._tenures[node_id] = _Tenure(client_id, self._clock() + self._lifetime)
        self._tenures.move_to_end(node_id)

    def _tidy_up(self) -> None:
        """Remove Nodes that have ended, and clear away what is gone: a few of each."""
        now = self._clock()
        for _ in range(_MOST_ENDED):
            node_id, tenure = next(iter(self._tenures.items()), (None, None))
            if node_id is None or tenure is None or tenure.ends > now:
                break
            self._remove(self._entries[node_id], tenure.owner)
        left = self._step
        while left > 0 and self._graves:
            left -= 1
            grave, owner = self._graves[0]
            if grave.children:
                self._remove(grave.children.popitem()[1], owner)
            else:
                self._graves.popleft()

    def _remove(self, entry: _Entry, owner: str) -> None:
        """Remove a resource; what is below it is gone with it, and is cleared away later."""
        entry.removed = True
        if self._entries.get(entry.id) is entry:  # it was not registered again in the meantime
            del self._entries[entry.id]
        if entry.parent is None:
            del self._tenures[entry.id]
        self._leave_parent(entry)
        if entry.children:
            self._graves.append((entry, owner))
        self._counts[owner] -= 1
        if not self._counts[owner]:
            del self._counts[owner]

    def _leave_parent(self, entry: _Entry) -> None:
        if entry.parent is not None:
            entry.parent.children.pop(entry.id, None)
