"""Whose turn it is, among the addresses of clients that ask for something. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

__all__ = ["Turns", "network_of"]

MOST_WAITING = 64
MOST_WAITING_OF_ONE = 8


def network_of(peer: str) -> str:
    """Return what identifies a client: its IPv4 address, or its IPv6 network.

    A client with one IPv6 address has the 2^64 addresses of its network (RFC 4291 Section 2.5.4).
    """
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or address.exploded[:19])


class Turns:
    """A queue with turns among clients; what one client asks for is served in its order."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[str]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(each) for each in self._waiting.values())

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(what for own in self._waiting.values() for what in own))

    def wait(self, peer: str, what: str) -> bool:
        """Let something wait for a turn of `peer`, and tell whether there was room for it.

        Where there is no room for a client that waits for nothing yet, the client that waits for
        the most loses what it asked for last.
        """
        client = network_of(peer)
        own = self._waiting.get(client, deque())
        if what in own:
            return True
        if len(own) >= MOST_WAITING_OF_ONE:
            return False
        if len(self) >= MOST_WAITING:
            longest = max(self._waiting.values(), key=len)
            if len(longest) <= len(own) + 1:
                return False
            longest.pop()
        own.append(what)
        self._waiting[client] = own
        return True

    def take(self) -> str | None:
        """Return what has the next turn, and end its waiting for every client."""
        if not self._waiting:
            return None
        client, own = self._waiting.popitem(last=False)
        what = own.popleft()
        if own:
            self._waiting[client] = own
        self.drop(what)
        return what

    def drop(self, what: str) -> None:
        """End the waiting of something."""
        for client, own in list(self._waiting.items()):
            if what in own:
                own.remove(what)
            if not own:
                del self._waiting[client]

    def before(self, what: str) -> int:
        """Return how many turns come before that of something; all of them if it does not wait."""
        places = [
            (place, order)
            for order, own in enumerate(self._waiting.values())
            for place, each in enumerate(own)
            if each == what
        ]
        if not places:
            return len(self)
        place, order = min(places)
        return sum(
            min(len(own), place + (other < order))
            for other, own in enumerate(self._waiting.values())
        )
