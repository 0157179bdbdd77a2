"""What a store of owners has to do; `memory` and `redis` have one each."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

from nmos_auth.rules.resources import Placement

__all__ = ["STEP", "Owners", "Verdict"]

STEP: Final = 64
"""How many resources that are gone one call clears away at most.

No call takes longer the more there are, and whatever goes was registered by calls, one by each: so
what is gone never piles up.
"""


class Verdict(StrEnum):
    """What became of a client's wish."""

    CREATED = "created"
    """A resource was not there, and is the client's now."""

    DONE = "done"
    """It was there and the client's own."""

    ABSENT = "absent"
    """There is none, or its parent is not there, or the id is that of another type."""

    REFUSED = "refused"
    """It belongs to another client, or is to be moved to what does."""

    FULL = "full"
    """It was not there, and the client has as many as it may have."""


class Owners(Protocol):
    """Which client owns which Node, and what belongs to that Node.

    A Node belongs to the client that registered it first, until it is deleted or so long without
    a heartbeat that the Registry forgets it; all that was registered below it goes with it. Each
    method decides and changes in one step that no other request comes between.

    Raises:
        OwnersUnavailable: the answer cannot be had, or not in time; each method may raise it.
    """

    async def register(self, client_id: str, placement: Placement) -> Verdict:
        """Record a resource that a client registers for the first time or again.

        A resource that is there already may move to another parent where both belong to the client.
        One that is not there may be refused as one too many.
        """
        ...

    async def delete(self, client_id: str, resource_type: str, resource_id: str) -> Verdict:
        """Forget a resource, and all that belongs to it."""
        ...

    async def heartbeat(self, client_id: str, node_id: str) -> Verdict:
        """Keep a Node for another while."""
        ...
