"""The owners of a Registry that is one process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from nmos_auth.registry.owners import Verdict
from nmos_auth.rules.resources import NODE, Placement

__all__ = ["MemoryOwners"]


@dataclass(slots=True)
class _Entry:
    type: str
    parent: str | None
    children: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Tenure:
    owner: str
    ends: float


class MemoryOwners:
    """Keeps the owners of Nodes in this process; see `Owners`.

    Nothing here waits, so that no other task of the event loop comes between.

    Args:
        lifetime: seconds for which a Node is kept without a heartbeat; IS-04 "Behaviour:
            Registration", Heartbeating, has 12.
        clock: seconds, from any start.
    """

    def __init__(
        self, lifetime: float = 12, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        # The one that ends first stands first: each heartbeat puts its Node last.
        self._tenures: OrderedDict[str, _Tenure] = OrderedDict()

    async def register(self, client_id: str, placement: Placement) -> Verdict:
        """Take note of a resource that a client registers."""
        self._forget_the_lost()
        known = self._entries.get(placement.id)
        parent = None if placement.parent is None else self._entries.get(placement.parent)
        if known is not None and self._owner(placement.id) != client_id:
            return Verdict.REFUSED
        if placement.parent is not None:
            if parent is not None and self._owner(placement.parent) != client_id:
                return Verdict.REFUSED
            if parent is None or parent.type != placement.parent_type:
                return Verdict.ABSENT
        if known is None:
            self._entries[placement.id] = _Entry(placement.type, placement.parent)
        elif known.type != placement.type:
            return Verdict.ABSENT
        else:
            self._leave_parent(placement.id, known)
            known.parent = placement.parent
        if parent is not None:
            parent.children.add(placement.id)
        if placement.type == NODE:
            self._keep(placement.id, client_id)
        return Verdict.CREATED if known is None else Verdict.DONE

    async def delete(self, client_id: str, resource_type: str, resource_id: str) -> Verdict:
        """Forget a resource, and all that belongs to it."""
        self._forget_the_lost()
        verdict = self._verdict(client_id, resource_type, resource_id)
        if verdict is Verdict.DONE:
            self._remove(resource_id)
        return verdict

    async def heartbeat(self, client_id: str, node_id: str) -> Verdict:
        """Keep a Node for another while."""
        self._forget_the_lost()
        verdict = self._verdict(client_id, NODE, node_id)
        if verdict is Verdict.DONE:
            self._keep(node_id, client_id)
        return verdict

    def _verdict(self, client_id: str, resource_type: str, resource_id: str) -> Verdict:
        known = self._entries.get(resource_id)
        if known is None:
            return Verdict.ABSENT
        if self._owner(resource_id) != client_id:
            return Verdict.REFUSED
        return Verdict.DONE if known.type == resource_type else Verdict.ABSENT

    def _owner(self, resource_id: str) -> str:
        while (parent := self._entries[resource_id].parent) is not None:
            resource_id = parent
        return self._tenures[resource_id].owner

    def _keep(self, node_id: str, client_id: str) -> None:
        self._tenures[node_id] = _Tenure(client_id, self._clock() + self._lifetime)
        self._tenures.move_to_end(node_id)

    def _forget_the_lost(self) -> None:
        now = self._clock()
        while self._tenures:
            node_id, tenure = next(iter(self._tenures.items()))
            if tenure.ends > now:
                return
            self._remove(node_id)

    def _remove(self, resource_id: str) -> None:
        entry = self._entries[resource_id]
        for child in tuple(entry.children):
            self._remove(child)
        self._leave_parent(resource_id, entry)
        del self._entries[resource_id]
        self._tenures.pop(resource_id, None)

    def _leave_parent(self, resource_id: str, entry: _Entry) -> None:
        if entry.parent is not None:
            self._entries[entry.parent].children.discard(resource_id)
