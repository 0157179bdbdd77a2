"""The registered resources, in memory; followers are informed of every change."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from example_node.clock import NANOSECONDS, Clock, TaiTime
from example_node.registry.paths import Data

MOST_RESOURCES = 20_000

_AT_ONCE = 500
"""How many resources are removed without a pause."""

COLLECTIONS = ("nodes", "devices", "sources", "flows", "senders", "receivers")

# IS-04 "Behaviour: Registration", Referential Integrity.
_PARENTS = {
    "devices": ("nodes", "node_id"),
    **dict.fromkeys(("sources", "flows", "senders", "receivers"), ("devices", "device_id")),
}


@dataclass(frozen=True, slots=True)
class Record:
    """A registered resource.

    Attributes:
        data: the resource, exactly as its Node sent it.
        created: when it was registered first; no other record has the same time.
        updated: when it was registered last; no other record has the same time.
    """

    data: Data
    created: TaiTime
    updated: TaiTime


@dataclass(frozen=True, slots=True)
class Change:
    """One resource before and after; None if it was not there."""

    collection: str
    resource_id: str
    before: Data | None
    after: Data | None


@dataclass(frozen=True, slots=True)
class _Heartbeat:
    """The last heartbeat of a Node.

    Attributes:
        at: when it came.
        ends: when the Node ends without another, in time elapsed, so that setting the computer's
            clock neither ends all Nodes nor keeps dead ones.
    """

    at: TaiTime
    ends: TaiTime


Follower = Callable[[Change], None]


class Registry:
    """All resources that the Query API shows.

    It does not check who may change what: `registration_api` does.

    Args:
        clock: the Registry's clock.
        expiry: for how many seconds a Node is kept without a heartbeat.
    """

    def __init__(self, clock: Clock, expiry: float) -> None:
        self._clock = clock
        self._expiry = TaiTime(int(expiry * NANOSECONDS))
        self._records: dict[str, dict[str, Record]] = {name: {} for name in COLLECTIONS}
        self._below: dict[str, dict[str, tuple[str, Record]]] = {}
        self._orphans: deque[dict[str, tuple[str, Record]]] = deque()
        self._has_orphans = asyncio.Event()
        self._heartbeats: dict[str, _Heartbeat] = {}
        self._last = TaiTime(0)
        self._followers: set[Follower] = set()

    def __getitem__(self, collection: str) -> Mapping[str, Record]:
        """Return the records of a collection, by id."""
        return self._records[collection]

    def has_parent_of(self, collection: str, data: Data) -> bool:
        """Tell whether the parent of a resource is registered; a Node has none."""
        if collection == "nodes":
            return True
        parents, attribute = _PARENTS[collection]
        return data[attribute] in self._records[parents]

    def is_of_another_type(self, collection: str, data: Data) -> bool:
        """Tell whether another collection has a resource with the same id."""
        return any(
            data["id"] in records for name, records in self._records.items() if name != collection
        )

    @property
    def is_full(self) -> bool:
        """Whether it has as many resources as it may have."""
        return sum(map(len, self._records.values())) >= MOST_RESOURCES

    def register(self, collection: str, data: Data) -> None:
        """Add or replace a resource; the time of a Node starts again."""
        now = self.tick()
        resource_id = data["id"]
        # It is removed and added again, so that the resource that was updated last comes last.
        known = self._records[collection].pop(resource_id, None)
        record = Record(data, known.created if known else now, now)
        self._records[collection][resource_id] = record
        if known is not None:
            self._leave_parent(collection, known)
        if collection == "nodes":
            self.heartbeat(resource_id)
        else:
            children = self._below.setdefault(data[_PARENTS[collection][1]], {})
            children[resource_id] = (collection, record)
        self._tell(Change(collection, resource_id, known.data if known else None, data))

    def remove(self, collection: str, resource_id: str) -> bool:
        """Remove a resource and all that belongs to it; tell whether it was there.

        Where very much belongs to it, `collect_orphans` removes the rest.
        """
        record = self._records.get(collection, {}).get(resource_id)
        if record is None:
            return False
        self._drop(collection, record)
        self._remove_orphans(_AT_ONCE)
        return True

    async def collect_orphans(self) -> None:
        """Remove, for ever, what belonged to what was removed: a little in each turn."""
        while True:
            await self._has_orphans.wait()
            self._remove_orphans(_AT_ONCE)
            await asyncio.sleep(0)

    def _remove_orphans(self, most: int) -> None:
        for _ in range(most):
            if not self._orphans:
                self._has_orphans.clear()
                return
            if children := self._orphans[0]:
                resource_id, (collection, record) = children.popitem()
                # If it was registered again meanwhile, it is kept.
                if self._records[collection].get(resource_id) is record:
                    self._drop(collection, record)
            else:
                self._orphans.popleft()

    def _drop(self, collection: str, record: Record) -> None:
        resource_id = record.data["id"]
        del self._records[collection][resource_id]
        self._heartbeats.pop(resource_id, None)
        self._leave_parent(collection, record)
        if children := self._below.pop(resource_id, None):
            self._orphans.append(children)
            self._has_orphans.set()
        self._tell(Change(collection, resource_id, record.data, None))

    def _leave_parent(self, collection: str, record: Record) -> None:
        if collection == "nodes":
            return
        parent_id = record.data[_PARENTS[collection][1]]
        children = self._below.get(parent_id, {})
        children.pop(record.data["id"], None)
        if not children:
            self._below.pop(parent_id, None)

    def heartbeat(self, node_id: str) -> None:
        """Keep a Node for another lifetime."""
        if node_id in self._records["nodes"]:
            self._heartbeats[node_id] = _Heartbeat(
                self._clock.now(), self._clock.elapsed() + self._expiry
            )

    def health(self, node_id: str) -> TaiTime | None:
        """Return the time of a Node's last heartbeat; None if the Node is not registered."""
        latest = self._heartbeats.get(node_id)
        return None if latest is None else latest.at

    async def collect_garbage(self) -> None:
        """Remove, for ever, each Node whose heartbeats have ended.

        IS-04 "Behaviour: Registration", Heartbeating: "both the Node and all registered
        sub-resources SHOULD be removed from the registry automatically".
        """
        while True:
            for node_id in tuple(self._heartbeats):
                latest = self._heartbeats.get(node_id)
                if latest and latest.ends <= self._clock.elapsed():
                    self.remove("nodes", node_id)
                    await asyncio.sleep(0)
            now = self._clock.elapsed()
            ends = min(
                (each.ends for each in self._heartbeats.values()), default=now + self._expiry
            )
            await self._clock.sleep(TaiTime(ends.total - now.total))

    def tick(self) -> TaiTime:
        """Return the present time, but later than ever before: it is what pages are found by."""
        self._last = max(self._clock.now(), self._last + TaiTime(1))
        return self._last

    def elapsed(self) -> TaiTime:
        """Return the time since some instant; see `Clock`."""
        return self._clock.elapsed()

    def follow(self, follower: Follower) -> None:
        """Tell somebody of every change from now on."""
        self._followers.add(follower)

    def unfollow(self, follower: Follower) -> None:
        """Tell them no more."""
        self._followers.discard(follower)

    def _tell(self, change: Change) -> None:
        for follower in tuple(self._followers):
            follower(change)
